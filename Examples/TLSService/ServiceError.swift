//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Glibc

/// Why the service cannot start or a probe cannot be made.
struct ServiceError: Error {
    /// What kind of failure it is.
    enum Code {
        /// The command line is wrong.
        case usage
        /// The operating system refused.
        case system
        /// libssl or libcrypto refused what it must be able to do.
        case library
    }

    /// What kind of failure it is.
    var code: Code
    /// One sentence for a person.
    var reason: String
}

/// Writes to standard error.
func standardError(_ text: String) {
    _ = text.withCString { write(2, $0, strlen($0)) }
}
