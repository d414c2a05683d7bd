//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import LivePatch

/// What a live patch says of itself and cannot be computed from the objects.
package struct PatchDescription: Sendable {
    /// The name that people use, unique within a target: `CVE-2026-75803`.
    package var identifier: String
    /// The name of the target for people, used where the shipped binary has no `DT_SONAME`.
    package var targetName: String
    /// The binary package and its version that the target was shipped in.
    package var package: String
    /// Version of that package.
    package var packageVersion: String
    /// What is fixed, and what it was made of. `reasons` is filled in from the judgement.
    package var provenance: Provenance
    /// Identifiers of patches that must be applied in the same transaction or before.
    package var requires: [String]

    /// Makes a description of its parts.
    package init(
        identifier: String, targetName: String, package: String, packageVersion: String, provenance: Provenance,
        requires: [String] = []
    ) {
        self.identifier = identifier
        self.targetName = targetName
        self.package = package
        self.packageVersion = packageVersion
        self.provenance = provenance
        self.requires = requires
    }
}
