//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import LivePatch

/// A live patch that ought to be applied: what a given file says of itself.
package struct WantedPatch: Sendable, Equatable {
    /// The file's path as it was given.
    package var file: String
    /// The patch's name.
    package var identifier: String
    /// SHA-256 of the file: what patch memory remembers.
    package var digest: [UInt8]
    /// The build that it fits.
    package var target: Target
    /// What is fixed.
    package var cves: [String]

    /// Makes one of its parts.
    package init(file: String, identifier: String, digest: [UInt8], target: Target, cves: [String]) {
        self.file = file
        self.identifier = identifier
        self.digest = digest
        self.target = target
        self.cves = cves
    }
}
