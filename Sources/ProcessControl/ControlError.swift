//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Why a process could not be stopped, read or changed. Whatever is thrown: the process runs on as before.
package struct ControlError: Error, Sendable, Equatable {
    /// Stable names, for programs.
    package enum Code: String, Sendable {
        /// The process has ended.
        case exited
        /// The pid is another process now, or the process started another program.
        case reused
        /// A debugger or another tool traces it.
        case tracedByOther = "traced-by-other"
        /// The kernel refuses.
        case noPrivilege = "no-privilege"
        /// A thread runs 32-bit code.
        case compat32Bit = "compat-32-bit"
        /// Some thread did not stop in time. Try again later.
        case stopTimedOut = "stop-timed-out"
        /// A child made by vfork has not started its program yet. Try again later.
        case vfork
        /// No thread can carry a system call now. Try again later.
        case noBorrowableThread = "no-borrowable-thread"
        /// A seccomp filter would not let the system call pass.
        case seccompFilter = "seccomp-filter"
        /// No executable `syscall; ret` or signal return was found in the process.
        case noSystemCallInstruction = "no-system-call-instruction"
        /// The system call was made and failed (`errno`).
        case systemCallFailed = "system-call-failed"
        /// No free room within reach of the code that must jump there.
        case noRoom = "no-room"
        /// Memory cannot be read.
        case unreadable
        /// Memory cannot be written.
        case unwritable
        /// Read back and found different.
        case notWritten = "not-written"
        /// Used in the wrong state or from another thread than the one that stopped the process.
        case misuse
        /// Any other error of a system call.
        case system
    }

    /// What happened.
    package var code: Code
    /// A sentence for a person.
    package var reason: String
    /// The system call's errno, 0 if none was involved.
    package var errno: Int32
    /// The thread concerned, 0 if none.
    package var tid: Int32

    /// Makes an error.
    package init(_ code: Code, _ reason: String, errno: Int32 = 0, tid: Int32 = 0) {
        self.code = code
        self.reason = reason
        self.errno = errno
        self.tid = tid
    }

    /// Whether the same attempt may succeed a little later.
    package var isTransient: Bool {
        switch code {
        case .stopTimedOut, .vfork, .noBorrowableThread: true
        default: false
        }
    }
}
