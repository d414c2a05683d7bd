//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import CLinux
internal import ProcessInspection

/// One system call by a thread of the process, without a trace.
///
/// The thread is prepared so that it heals itself: on its stack lies a signal frame with all of its registers, and
/// behind the `syscall` a `ret` leads to rt_sigreturn(2). If we die at any moment, it makes the call, returns through
/// the frame, and goes on. If we live, it never gets that far: it is stopped right behind the call and gets its
/// registers back.
struct RemoteSystemCall {
    var number: UInt64
    var arguments: [UInt64]
    var site: SystemCallSite
    var deadline: Int64

    /// Makes the call on a thread that is held.
    ///
    /// - Throws: `noBorrowableThread` if this thread cannot do it, `seccompFilter`, `exited`, `system`.
    func perform(on thread: inout HeldThread, of process: borrowing ProcessHandle) throws(ControlError) -> Int64 {
        let tid = thread.tid
        let original = thread.registers
        var mask: UInt64 = 0
        guard let extended = extendedState(tid), unsafe clinux_ptrace_getsigmask(tid, &mask) >= 0 else {
            throw ended(tid)
        }
        guard let frame = SignalFrame(registers: original, extendedState: extended, signalMask: mask, site: site) else {
            throw ControlError(.noBorrowableThread, "thread \(tid) has an unusual vector state", tid: tid)
        }
        var registers = original
        registers.rip = site.systemCall
        registers.rsp = frame.stackPointer
        registers.rax = number
        registers.origRax = UInt64.max
        setArguments(&registers)
        if let refusal = SeccompCheck.refusal(thread: tid, process: process, calls: calls(registers)) { throw refusal }

        // Nobody looks below the red zone: a tool that dies from here on leaves at most these bytes there.
        let written = unsafe clinux_process_vm_writev(tid, frame.bytes, frame.bytes.count, frame.address)
        guard written == frame.bytes.count else {
            throw ControlError(
                .noBorrowableThread, "the stack of thread \(tid) cannot be written",
                errno: Int32(truncatingIfNeeded: max(0, -written)), tid: tid)
        }
        guard Tracee.setRegisters(registers, of: tid) else { throw ended(tid) }
        // All signals wait meanwhile (the frame undoes that, too): a handler would make system calls of its own.
        _ = clinux_ptrace_setsigmask(tid, UInt64.max)
        let result = run(tid)
        guard settle(tid) else {
            thread.abandon()
            throw ended(tid)
        }
        _ = clinux_ptrace_setsigmask(tid, mask)
        guard Tracee.setRegisters(original, of: tid) else {
            thread.abandon()
            throw ended(tid)
        }
        guard let result else {
            throw ControlError(.system, "thread \(tid) did not make the system call as expected", tid: tid)
        }
        return result
    }

    private func ended(_ tid: Int32) -> ControlError {
        ControlError(.exited, "thread \(tid) ended while it was borrowed", tid: tid)
    }

    private func setArguments(_ registers: inout Registers) {
        let padded = arguments + [UInt64](repeating: 0, count: max(0, 6 - arguments.count))
        registers.rdi = padded[0]
        registers.rsi = padded[1]
        registers.rdx = padded[2]
        registers.r10 = padded[3]
        registers.r8 = padded[4]
        registers.r9 = padded[5]
    }

    /// What filters will see: the call, and the return through the frame should we die (its arguments are what the
    /// registers then hold).
    private func calls(_ registers: Registers) -> [SeccompFilter.Call] {
        let words = [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9]
        let back: UInt64
        switch site.signalReturn {
        case .restorer(let restorer): back = restorer &+ 9
        case .popRax: back = site.systemCall &+ 2
        }
        return [
            SeccompFilter.Call(
                number: UInt32(truncatingIfNeeded: number), instructionPointer: site.systemCall &+ 2, arguments: words),
            SeccompFilter.Call(number: 15, instructionPointer: back, arguments: words),
        ]
    }

    /// NT_X86_XSTATE, whatever its size on this machine.
    private func extendedState(_ tid: Int32) -> [UInt8]? {
        let capacity = 16384
        let state = unsafe [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            count = max(
                0, unsafe clinux_ptrace_getregset(tid, Kernel.noteExtendedState, buffer.baseAddress, capacity))
        }
        return state.isEmpty || state.count == capacity ? nil : state
    }

    /// From the prepared registers to behind the system call: its result, nil if anything else happened.
    private func run(_ tid: Int32) -> Int64? {
        guard resume(tid), let entry = Tracee.registers(tid), entry.origRax == number,
            entry.rip == site.systemCall &+ 2, resume(tid), let exit = Tracee.registers(tid),
            exit.rip == site.systemCall &+ 2
        else { return nil }
        return Int64(bitPattern: exit.rax)
    }

    /// To the next entry or exit of a system call. A stop for the whole process that comes in between waits: the thread
    /// joins it when it is let go.
    private func resume(_ tid: Int32) -> Bool {
        while clinux_ptrace_syscall(tid, 0) >= 0 {
            switch Tracee.wait(tid, until: deadline) {
            case .systemCall: return true
            case .eventStop: continue
            case .signalDelivery, .ended, .timedOut: return false
            }
        }
        return false
    }

    /// From behind the system call into a stop where the kernel will look at restarts again: asks for one and
    /// continues, the thread gets there before it runs any instruction. (In a system call's exit stop the process
    /// would see -516.)
    private func settle(_ tid: Int32) -> Bool {
        _ = clinux_ptrace_interrupt(tid)
        _ = clinux_ptrace_cont(tid, 0)
        while true {
            switch Tracee.wait(tid, until: deadline) {
            case .eventStop: return true
            case .systemCall, .signalDelivery:
                // Only after something unexpected: the thread ran on. Its registers are put back all the same.
                guard clinux_ptrace_cont(tid, 0) >= 0 else { return false }
            case .ended, .timedOut: return false
            }
        }
    }
}

/// Asks a thread's seccomp filters whether a call would pass.
enum SeccompCheck {
    /// Why the calls may not be made; nil if every filter lets them pass, or if there is none.
    ///
    /// A filter may kill the process, and no way around it (PTRACE_O_SUSPEND_SECCOMP) survives our own death: so the
    /// filters themselves are read (CAP_SYS_ADMIN) and asked. What cannot be read is taken as a no.
    static func refusal(
        thread tid: Int32, process: borrowing ProcessHandle, calls: [SeccompFilter.Call]
    ) -> ControlError? {
        guard let mode = seccompMode(tid, process) else {
            return ControlError(.exited, "thread \(tid) has ended", tid: tid)
        }
        if mode == 0 { return nil }
        guard mode == 2 else {
            return ControlError(.seccompFilter, "thread \(tid) is in seccomp's strict mode", tid: tid)
        }
        var index: UInt64 = 0
        while true {
            let count = clinux_ptrace_seccomp_get_filter(tid, index, nil)
            // ENOENT: no more filters. (The index counts from the newest.)
            if count == -2, index > 0 { return nil }
            guard count > 0 else {
                return ControlError(
                    .seccompFilter, "the seccomp filter of thread \(tid) cannot be read (CAP_SYS_ADMIN is needed)",
                    errno: Int32(truncatingIfNeeded: max(0, -count)), tid: tid)
            }
            let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count * 8) { buffer, initialized in
                let copied = unsafe clinux_ptrace_seccomp_get_filter(tid, index, buffer.baseAddress)
                initialized = copied == count ? count * 8 : 0
            }
            let filter = SeccompFilter(bytes)
            for call in calls where !filter.allows(call) {
                return ControlError(
                    .seccompFilter, "a seccomp filter of thread \(tid) does not allow system call \(call.number)",
                    tid: tid)
            }
            index += 1
        }
    }

    private static func seccompMode(_ tid: Int32, _ process: borrowing ProcessHandle) -> UInt64? {
        guard let text = try? process.contents("task/\(tid)/status") else { return nil }
        let key = Array("\nSeccomp:\t".utf8)
        let found = unsafe clinux_find(text, text.count, key, key.count)
        // A kernel without seccomp has no such line.
        guard found >= 0, found + key.count < text.count else { return 0 }
        return UInt64(text[found + key.count] &- 0x30)
    }
}
