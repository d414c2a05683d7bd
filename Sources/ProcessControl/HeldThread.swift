//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import CLinux
internal import ProcessInspection

/// One thread that is stopped while all others run: for a system call, or to write through it. Let go when this ends.
struct HeldThread: ~Copyable {
    let tid: Int32
    /// Its registers as they were, with an interrupted system call made to restart.
    let registers: Registers
    private var isGone = false

    /// Stops the thread. Signals that come first are passed on.
    ///
    /// - Throws: `exited` if it is gone, `noBorrowableThread` if it is in a group stop, `stopTimedOut`, and what the
    ///   kernel's refusal means.
    init(_ tid: Int32, of process: borrowing ProcessHandle, until deadline: Int64) throws(ControlError) {
        guard try Seizing.seize(tid, of: process) else {
            throw ControlError(.noBorrowableThread, "thread \(tid) has ended", tid: tid)
        }
        _ = clinux_ptrace_interrupt(tid)
        let event = Self.waitForInterrupt(tid, until: deadline)
        switch event {
        case .eventStop(let signal) where signal == Kernel.trap: break
        case .eventStop:
            _ = clinux_ptrace_detach(tid, 0)
            throw ControlError(.noBorrowableThread, "thread \(tid) is stopped by a signal", tid: tid)
        case .timedOut:
            Seizing.letGoLater([tid])
            throw ControlError(.stopTimedOut, "thread \(tid) did not stop in time", tid: tid)
        default: throw ControlError(.noBorrowableThread, "thread \(tid) has ended", tid: tid)
        }
        guard let registers = Tracee.settledRegisters(tid) else {
            Seizing.letGoLater([tid])
            throw ControlError(.noBorrowableThread, "thread \(tid) has ended", tid: tid)
        }
        self.tid = tid
        self.registers = registers
    }

    deinit {
        if !isGone, clinux_ptrace_detach(tid, 0) < 0 { Seizing.letGoLater([tid]) }
    }

    /// The thread is not in a stop that can be left by a detach.
    mutating func abandon() {
        isGone = true
        Seizing.letGoLater([tid])
    }

    /// Passes signals on until the thread reports our interrupt, a group stop, or its end.
    static func waitForInterrupt(_ tid: Int32, until deadline: Int64) -> WaitEvent {
        while true {
            let event = Tracee.wait(tid, until: deadline)
            switch event {
            case .signalDelivery(let signal): _ = clinux_ptrace_cont(tid, signal)
            case .systemCall: _ = clinux_ptrace_cont(tid, 0)
            case .eventStop, .ended, .timedOut: return event
            }
        }
    }
}

/// Attaching to threads and getting rid of them again.
enum Seizing {
    /// Seizes a thread of the process; false if it has ended.
    ///
    /// PTRACE_O_TRACECLONE is not used: it would stop each new thread twice more, and children made by fork or vfork
    /// would be traced too. New threads are found by looking again. PTRACE_O_EXITKILL even less.
    static func seize(_ tid: Int32, of process: borrowing ProcessHandle) throws(ControlError) -> Bool {
        let result = clinux_ptrace_seize(tid, Kernel.optionSystemCallGood)
        if result >= 0 {
            // The id may have passed to another process's thread since it was read; since it is seized it cannot.
            if process.hasThread(tid) { return true }
            _ = clinux_ptrace_interrupt(tid)
            letGoLater([tid])
            return false
        }
        if result == -Kernel.noProcess { return false }
        let errno = Int32(truncatingIfNeeded: -result)
        guard let thread = try? process.thread(tid) else { return false }
        // Z, X: it has ended; the kernel answers EPERM.
        if thread.state == 0x5a || thread.state == 0x58 { return false }
        if let tracer = process.tracer(of: tid), tracer != 0 {
            throw ControlError(
                .tracedByOther, "thread \(tid) of process \(process.instance.pid) is traced by process \(tracer)",
                errno: errno, tid: tid)
        }
        // It may have been about to end.
        guard let again = try? process.thread(tid), again.state != 0x5a, again.state != 0x58 else { return false }
        throw ControlError(
            .noPrivilege, "the kernel does not let this user trace process \(process.instance.pid)", errno: errno,
            tid: tid)
    }

    /// Gets rid of traced threads that were not in a stop when they should have been let go: they ended, were killed, or
    /// are in an uninterruptible sleep. Waits a little for all of them in turn (one may wait for another); what is left is
    /// freed by the kernel when the calling thread ends.
    static func letGoLater(_ tids: [Int32], waiting: Int64 = 1_000_000_000) {
        let deadline = Int64(clinux_monotonic()) + waiting
        var left = tids
        while true {
            left.removeAll { tid in
                switch Tracee.poll(tid) {
                case nil: return false
                case .signalDelivery(let signal): return clinux_ptrace_detach(tid, signal) >= 0
                case .eventStop, .systemCall: return clinux_ptrace_detach(tid, 0) >= 0
                case .ended, .timedOut: return true
                }
            }
            if left.isEmpty || Int64(clinux_monotonic()) > deadline { return }
            _ = clinux_sleep(100_000)
            left.removeAll { hasEndedUnseen($0) }
        }
    }

    /// Whether the thread is the leader of a thread group that lives on without it: it is reported only at the end.
    private static func hasEndedUnseen(_ tid: Int32) -> Bool {
        guard let state = SystemFacts.state(of: tid) else { return true }
        return (state == 0x5a || state == 0x58) && Tracee.poll(tid) == nil
    }
}
