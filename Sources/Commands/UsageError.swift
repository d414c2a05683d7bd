//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The command line is wrong: the executable says so and ends with `ExitCode.usage`.
package struct UsageError: Error, Sendable, Equatable {
    /// What is wrong, as a sentence without a full stop.
    package var reason: String

    /// Makes the error of its reason.
    package init(_ reason: String) {
        self.reason = reason
    }
}
