//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Why a file is not trusted.
package struct ApprovalError: Error, Sendable, Equatable {
    /// What kind of thing is wrong.
    package enum Code: String, Sendable, Equatable {
        /// The file is too short to hold a digest.
        case truncated = "file-truncated"
        /// The digest at the end of the file is not that of the bytes before it.
        case digestMismatch = "digest-mismatch"
    }

    /// What kind of thing is wrong.
    package var code: Code
    /// A sentence for a person.
    package var reason: String

    /// Makes an error of its parts.
    package init(_ code: Code, _ reason: String) {
        self.code = code
        self.reason = reason
    }
}
