//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Why a client could not do what it must.
package struct ClientError: Error, Sendable {
    /// What kind of failure it is.
    package enum Code: Sendable {
        /// No connection or no TLS session could be made.
        case connect
        /// An open session broke.
        case session
        /// The server's answer is not the one that belongs to the request.
        case answer
    }

    /// What kind of failure it is.
    package var code: Code
    /// One sentence for a person.
    package var reason: String
}
