//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import CLinux

/// Numbers of the kernel's interface that are used here (x86-64).
enum Kernel {
    /// PTRACE_O_TRACESYSGOOD: stops at system calls are told apart from SIGTRAP; and should the tracer die in one, no
    /// signal is left behind (0x85 is none).
    static let optionSystemCallGood: UInt64 = 1
    /// PTRACE_EVENT_STOP.
    static let eventStop: Int32 = 128
    /// SIGTRAP.
    static let trap: Int32 = 5
    /// SIGTRAP | 0x80: a system call's entry or exit.
    static let systemCallStop: Int32 = 0x85
    /// NT_PRSTATUS.
    static let noteRegisters: UInt32 = 1
    /// NT_X86_XSTATE.
    static let noteExtendedState: UInt32 = 0x202

    // errno values.
    static let notPermitted = 1
    static let noProcess = 3
    static let interrupted = 4
    static let inputOutput = 5
    static let noChild = 10
    static let exists: Int64 = 17

    /// -EINTR as a system call's result.
    static let resultInterrupted = UInt64(bitPattern: -4)
    /// -ERESTARTSYS
    static let restartSystemCall = UInt64(bitPattern: -512)
    /// -ERESTARTNOINTR
    static let restartNoInterrupt = UInt64(bitPattern: -513)
    /// -ERESTARTNOHAND: restart unless a handler runs, then EINTR.
    static let restartNoHandler = UInt64(bitPattern: -514)
    /// -ERESTART_RESTARTBLOCK
    static let restartBlock = UInt64(bitPattern: -516)
    /// restart_syscall(2): what a call with a restart block becomes.
    static let restartNumber: UInt64 = 219
}

/// What a wait for one task brought.
enum WaitEvent: Equatable {
    /// PTRACE_EVENT_STOP: interrupted (SIGTRAP) or in a group stop (the stopping signal).
    case eventStop(signal: Int32)
    /// On the way to a signal.
    case signalDelivery(Int32)
    /// Entry or exit of a system call.
    case systemCall
    /// The task has ended, or is none of ours any more.
    case ended
    /// Nothing until the deadline.
    case timedOut
}

/// One task that is traced, or is to be. Each function is a thin layer on one request.
enum Tracee {
    /// wait4 for one task: WNOHANG | __WALL.
    private static let waitOptions: Int32 = 1 | 0x4000_0000

    /// One look.
    static func poll(_ tid: Int32) -> WaitEvent? {
        var status: Int32 = 0
        let result = unsafe clinux_wait4(tid, &status, waitOptions)
        if result == 0 || result == -Kernel.interrupted { return nil }
        guard result > 0, status & 0xff == 0x7f else { return .ended }
        let signal = status >> 8 & 0xff
        if status >> 16 == Kernel.eventStop { return .eventStop(signal: signal) }
        return signal == Kernel.systemCallStop ? .systemCall : .signalDelivery(signal)
    }

    /// Waits for the task's next stop or end. SIGCHLD is blocked by the caller and wakes us; where another thread of the
    /// tool takes it away, short sleeps do. (A blocking wait would never return from a thread in uninterruptible sleep
    /// or from a thread group's leader that has ended.)
    ///
    /// - Parameter stalled: asked every 2 ms; true ends the wait as `.timedOut`.
    static func wait(_ tid: Int32, until deadline: Int64, stalled: () -> Bool = { false }) -> WaitEvent {
        var pause: Int64 = 50_000
        var nextLook = Int64(clinux_monotonic()) + 2_000_000
        while true {
            if let event = poll(tid) { return event }
            let now = Int64(clinux_monotonic())
            if now >= deadline { return .timedOut }
            if now >= nextLook {
                if stalled() { return .timedOut }
                nextLook = now + 2_000_000
            }
            if clinux_wait_sigchld(pause) < 0 { pause = min(pause * 2, 1_000_000) }
        }
    }

    /// NT_PRSTATUS; nil if the task is gone.
    static func registers(_ tid: Int32) -> Registers? {
        var registers = Registers()
        let size = MemoryLayout<Registers>.size
        let result = unsafe withUnsafeMutableBytes(of: &registers) {
            unsafe clinux_ptrace_getregset(tid, Kernel.noteRegisters, $0.baseAddress, size)
        }
        return result == size ? registers : nil
    }

    /// Sets NT_PRSTATUS; false if the task is gone.
    static func setRegisters(_ registers: Registers, of tid: Int32) -> Bool {
        unsafe withUnsafeBytes(of: registers) {
            unsafe clinux_ptrace_setregset(tid, Kernel.noteRegisters, $0.baseAddress, $0.count) >= 0
        }
    }

    /// The registers after a stop; a system call that our stop interrupted with EINTR is made to restart.
    ///
    /// Some calls (epoll_wait, semop, receiving with a time-out, ...) return -EINTR whenever the thread has to look at
    /// signals, also when there is none. -ERESTARTNOHAND instead leaves it to the kernel: with a handler to run it is
    /// EINTR as ever, without one the call restarts. The other restart codes are right as they are.
    static func settledRegisters(_ tid: Int32) -> Registers? {
        guard var registers = registers(tid) else { return nil }
        if registers.isInSystemCall, registers.rax == Kernel.resultInterrupted {
            registers.rax = Kernel.restartNoHandler
            guard setRegisters(registers, of: tid) else { return nil }
        }
        return registers
    }
}

/// SIGCHLD is blocked for the calling thread as long as this lives.
struct ChildSignalBlocked: ~Copyable {
    private let wasBlocked = clinux_block_sigchld() == 1

    deinit {
        if !wasBlocked { _ = clinux_unblock_sigchld() }
    }
}

/// The calling thread runs under SCHED_FIFO as long as this lives, where allowed: threads that are resumed would
/// otherwise preempt us before the others are resumed (ten times longer stops at 64 threads).
struct RaisedPriority: ~Copyable {
    private let policyBefore: Int32

    init(_ wanted: Bool) {
        var priority: Int32 = 0
        let policy = unsafe clinux_getscheduler(&priority)
        // SCHED_OTHER 0, SCHED_BATCH 3, SCHED_IDLE 5: anything else is real time already. A tool with a
        // SCHED_DEADLINE or FIFO policy of its own knows what it does.
        let isOrdinary = policy == 0 || policy == 3 || policy == 5
        let fifoResetOnFork: Int32 = 1 | 0x4000_0000
        policyBefore =
            wanted && isOrdinary && clinux_setscheduler(fifoResetOnFork, 50) == 0
            ? Int32(truncatingIfNeeded: policy) : -1
    }

    deinit {
        if policyBefore >= 0 { _ = clinux_setscheduler(policyBefore, 0) }
    }
}
