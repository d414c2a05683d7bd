//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import LivePatch

/// A live patch that was read from a file and found whole.
package struct PatchFile: Sendable, Equatable {
    /// What it says.
    package var patch: Patch
    /// SHA-256 of the whole file.
    package var digest: [UInt8]
    /// Where it was read from; for people.
    package var path: String

    /// Makes one of its parts.
    package init(patch: Patch, digest: [UInt8], path: String) {
        self.patch = patch
        self.digest = digest
        self.path = path
    }
}
