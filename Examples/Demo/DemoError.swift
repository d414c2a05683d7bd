//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Why the demo cannot go on.
struct DemoError: Error {
    /// What kind of failure it is.
    enum Code {
        /// The command line is wrong.
        case usage
        /// Something that the demo needs is not on this machine.
        case missing
        /// The operating system refused.
        case system
        /// A tool or a server did not do what it must.
        case failed
    }

    /// What kind of failure it is.
    var code: Code
    /// One sentence for a person.
    var reason: String
}
