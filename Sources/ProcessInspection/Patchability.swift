//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Whether a process can be patched now, and if not, why.
package struct Patchability: Sendable, Equatable {
    /// Stable names of what is in the way.
    package enum Obstacle: String, Sendable, CaseIterable {
        /// The process has ended.
        case exited
        /// It has ended and waits for its parent.
        case zombie
        /// A thread of the kernel.
        case kernelThread = "kernel-thread"
        /// Another tracer (a debugger) holds it.
        case tracedByOther = "traced-by-other"
        /// It runs 32-bit code.
        case compat32Bit = "compat-32-bit"
        /// Not x86-64.
        case otherMachine = "other-machine"
        /// The tool's user or capabilities do not allow it.
        case noPrivilege = "no-privilege"
        /// yama's `ptrace_scope` does not allow it.
        case ptraceScope = "ptrace-scope"
        /// The kernel forbids writing memory of other processes (`proc_mem.force_override=never` and no ptrace way).
        case memoryWriteForbidden = "memory-write-forbidden"
        /// seccomp strict mode: a single system call other than read, write and exit kills it.
        case seccompStrict = "seccomp-strict"
        /// It is the tool itself.
        case ownProcess = "own-process"
    }

    /// One obstacle with words for a person.
    package struct Reason: Sendable, Equatable {
        /// What is in the way.
        package var obstacle: Obstacle
        /// What was found.
        package var text: String
        /// What a person can do.
        package var remedy: String
    }

    /// All that is in the way; empty if nothing is known to be.
    package var reasons: [Reason]
    /// Whether nothing is known to be in the way.
    package var isPatchable: Bool { reasons.isEmpty }
}

/// What the kernel allows anyone, read once per run.
package struct KernelLimits: Sendable, Equatable {
    /// `/proc/sys/kernel/yama/ptrace_scope`; nil without yama.
    package var ptraceScope: Int?
    /// The word in brackets of `/sys/kernel/security/lockdown`; nil without lockdown. (No mode forbids ptrace or
    /// `/proc/PID/mem`; it is told for completeness.)
    package var lockdown: String?
    /// `proc_mem.force_override=` of the kernel's command line (`always`, `ptrace`, `never`); nil if not given.
    package var memoryForceOverride: String?
    /// Effective capabilities of the tool as a bit set.
    package var capabilities: UInt64

    /// Puts together what was read.
    package init(ptraceScope: Int?, lockdown: String?, memoryForceOverride: String?, capabilities: UInt64) {
        self.ptraceScope = ptraceScope
        self.lockdown = lockdown
        self.memoryForceOverride = memoryForceOverride
        self.capabilities = capabilities
    }
}
