//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// What an executable of this package says by its exit code. The table stands in
/// Documentation/command-line.md; scripts depend on it, so a number never changes its meaning.
package struct ExitCode: RawRepresentable, Sendable, Equatable {
    /// The code as `_exit(2)` takes it.
    package let rawValue: Int32

    /// Makes an exit code of its number.
    package init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// Everything that was asked for is done. `status`: the newest given patch is applied.
    package static let done = ExitCode(rawValue: 0)
    /// Something went wrong that is not a refusal: a file cannot be read, a build fails.
    package static let failed = ExitCode(rawValue: 1)
    /// Refused for a reason that is named, and nothing was changed.
    package static let refused = ExitCode(rawValue: 2)
    /// No safe moment until the deadline, and nothing was changed.
    package static let busy = ExitCode(rawValue: 3)
    /// Done in k of n processes; each is listed.
    package static let partly = ExitCode(rawValue: 4)
    /// `status`: no patch is applied in any process that maps a target.
    package static let nothingApplied = ExitCode(rawValue: 10)
    /// `status`: a given patch fits a process and is not applied there, or an older one is.
    package static let newerWaiting = ExitCode(rawValue: 11)
    /// `status`: no process maps a target that a given or applied patch names.
    package static let notSupported = ExitCode(rawValue: 12)
    /// `status`: applied in k of n processes; each is listed.
    package static let partlyApplied = ExitCode(rawValue: 13)
    /// The command line is wrong (`EX_USAGE` of sysexits.h).
    package static let usage = ExitCode(rawValue: 64)
}
