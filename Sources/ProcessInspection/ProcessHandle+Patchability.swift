//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import CLinux

extension KernelLimits {
    /// Reads what this kernel and this user allow.
    package static func current() -> KernelLimits {
        func text(_ path: String) -> String? {
            guard let bytes = try? ProcFile.contents(path, in: OpenFlags.currentDirectory) else { return nil }
            return PrintableBytes.text(of: bytes.filter { $0 != 0x0a })
        }
        let lockdown = text("/sys/kernel/security/lockdown").flatMap { line in
            line.split(separator: " ").first { $0.hasPrefix("[") && $0.hasSuffix("]") }
        }
        let override = text("/proc/cmdline").flatMap { line in
            line.split(separator: " ").last { $0.hasPrefix("proc_mem.force_override=") }
        }
        var capabilities: UInt64 = 0
        _ = unsafe clinux_capabilities(&capabilities)
        return KernelLimits(
            ptraceScope: text("/proc/sys/kernel/yama/ptrace_scope").flatMap { Int($0) },
            lockdown: lockdown.map { String($0.dropFirst().dropLast()) },
            memoryForceOverride: override.map { String($0.dropFirst("proc_mem.force_override=".count)) },
            capabilities: capabilities)
    }

    /// Whether the tool has CAP_SYS_PTRACE (number 19).
    package var mayTraceOthers: Bool { capabilities & 1 << 19 != 0 }
}

extension ProcessHandle {
    /// What is in the way of patching it, as far as can be told without touching it.
    package func patchability(under limits: KernelLimits) -> Patchability {
        var reasons: [Patchability.Reason] = []
        func add(_ obstacle: Patchability.Obstacle, _ text: String, _ remedy: String) {
            reasons.append(Patchability.Reason(obstacle: obstacle, text: text, remedy: remedy))
        }
        let pid = instance.pid
        guard let status = try? status() else {
            add(.exited, "process \(pid) has ended", "Nothing to do.")
            return Patchability(reasons: reasons)
        }
        if status.isKernelThread {
            add(.kernelThread, "\(pid) is a thread of the kernel", "Use kernel live patches.")
            return Patchability(reasons: reasons)
        }
        if pid == Int32(truncatingIfNeeded: clinux_getpid()) {
            add(.ownProcess, "process \(pid) is this tool", "Nothing to do: it ends by itself.")
        }
        let tasks = (try? threads()) ?? []
        if status.state == 0x5a, tasks.allSatisfy({ $0.state == 0x5a || $0.state == 0x58 }) {
            add(.zombie, "process \(pid) has ended and waits for its parent", "Nothing to do.")
            return Patchability(reasons: reasons)
        }
        if let tracer = tracer(status: status, tasks: tasks), Int(tracer) != clinux_gettid() {
            add(
                .tracedByOther, "process \(pid) is traced by process \(tracer)",
                "End the debugger or tracer (pid \(tracer)), then try again.")
        }
        addMachine(&reasons)
        if status.seccomp == 1 {
            add(.seccompStrict, "process \(pid) is in seccomp's strict mode", "Restart the process to update it.")
        }
        if memory < 0 { addDenial(limits, status: status, to: &reasons) }
        return Patchability(reasons: reasons)
    }

    /// The tracer of the first task that has one. (`t` is the state of a task that its tracer holds.)
    private func tracer(status: ProcessStatus, tasks: [ThreadFacts]) -> Int32? {
        if status.tracer != 0 { return status.tracer }
        for task in tasks where task.tid != instance.pid {
            if let tracer = self.tracer(of: task.tid), tracer != 0 { return tracer }
        }
        return nil
    }

    /// Who traces the thread: its thread id, 0 for nobody, nil if the thread has ended.
    package func tracer(of tid: Int32) -> Int32? {
        guard let text = try? contents("task/\(tid)/status") else { return nil }
        return StatParser.number("TracerPid", of: text).map { Int32(clamping: $0) }
    }

    private func addMachine(_ reasons: inout [Patchability.Reason]) {
        let opened = Descriptor.open("exe", in: directory, flags: OpenFlags.readOnly | OpenFlags.nonBlocking)
        guard opened >= 0 else { return }
        let file = Descriptor(Int32(truncatingIfNeeded: opened))
        let header = unsafe [UInt8](unsafeUninitializedCapacity: 20) { buffer, count in
            count = max(0, unsafe clinux_read(file.number, buffer.baseAddress, 20))
        }
        guard header.count == 20 else { return }
        let machine = UInt16(header[18]) | UInt16(header[19]) << 8
        if header[4] == 1 {
            reasons.append(
                Patchability.Reason(
                    obstacle: .compat32Bit, text: "process \(instance.pid) runs a 32-bit program",
                    remedy: "Restart the process to update it."))
        } else if machine != 62 {
            reasons.append(
                Patchability.Reason(
                    obstacle: .otherMachine, text: "process \(instance.pid) runs a program for machine \(machine)",
                    remedy: "Restart the process to update it."))
        }
    }

    /// Why `/proc/PID/mem` could not be opened for writing.
    private func addDenial(_ limits: KernelLimits, status: ProcessStatus, to reasons: inout [Patchability.Reason]) {
        guard memoryErrno != ErrorNumber.noEntry, memoryErrno != ErrorNumber.noProcess else { return }
        reasons.append(limits.denial(of: instance.pid, user: status.effectiveUser))
    }
}

extension KernelLimits {
    /// Why the kernel does not let the tool trace a process, judged by what it allows anyone. (Neither lockdown nor
    /// `proc_mem.force_override` keeps a tool that may trace from writing: ptrace's own way stays.)
    package func denial(of pid: Int32, user: UInt32) -> Patchability.Reason {
        let scope = ptraceScope ?? 0
        // Scopes of Yama (Documentation/admin-guide/LSM/Yama.rst): 1 and 2 spare CAP_SYS_PTRACE, 3 spares nobody.
        guard scope >= 3 || (scope > 0 && !mayTraceOthers) else {
            return Patchability.Reason(
                obstacle: .noPrivilege, text: "process \(pid) of user \(user) cannot be written by this user",
                remedy: "Run as root with CAP_SYS_PTRACE, outside of a restricted container.")
        }
        return Patchability.Reason(
            obstacle: .ptraceScope, text: "kernel.yama.ptrace_scope is \(scope): process \(pid) cannot be traced",
            remedy: scope >= 3
                ? "Scope 3 lasts until the next boot: lower kernel.yama.ptrace_scope there."
                : "Run as root (CAP_SYS_PTRACE), or lower kernel.yama.ptrace_scope.")
    }
}
