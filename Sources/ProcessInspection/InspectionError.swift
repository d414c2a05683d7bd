//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Why a process could not be looked at.
package struct InspectionError: Error, Sendable, Equatable {
    /// Stable names, for programs.
    package enum Code: String, Sendable {
        /// There is no such process, or it has ended.
        case exited
        /// The pid belongs to another process than the one that was meant.
        case reused
        /// The kernel refuses (credentials, yama, a security module).
        case noPrivilege = "no-privilege"
        /// Memory that was asked for is not mapped or cannot be read.
        case unreadable
        /// What the kernel or the process's memory says cannot be understood.
        case malformed
        /// Any other error of a system call.
        case system
    }

    /// What happened.
    package var code: Code
    /// A sentence for a person.
    package var reason: String
    /// The system call's errno, 0 if none was involved.
    package var errno: Int32

    /// Makes an error.
    package init(_ code: Code, _ reason: String, errno: Int32 = 0) {
        self.code = code
        self.reason = reason
        self.errno = errno
    }
}
