//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Where a live patch comes from. For people, scanners and auditors; the engine does not read it.
package struct Provenance: Sendable, Equatable {
    /// Identifiers of what is fixed, sorted: `CVE-2026-75803`. Empty for a fix without one.
    package var cves: [String]
    /// What part of the fix this patch holds, empty if it is the whole. Never say fixed at k of n.
    package var partOf: String
    /// The distribution's source package, and its suite.
    package var source: String
    /// Suite: `bookworm`.
    package var suite: String
    /// The source version that was vulnerable, and the one that the fix was taken from.
    package var vulnerableVersion: String
    /// The version the fix was taken from.
    package var fixedVersion: String
    /// Reasons for the verdict, as sentences, in the order they were found.
    package var reasons: [String]
    /// One line per input that was used: `sha256:<hex> <name>`; sorted.
    package var inputs: [String]

    /// Makes a provenance of its parts.
    package init(
        cves: [String], partOf: String, source: String, suite: String, vulnerableVersion: String, fixedVersion: String,
        reasons: [String], inputs: [String]
    ) {
        self.cves = cves
        self.partOf = partOf
        self.source = source
        self.suite = suite
        self.vulnerableVersion = vulnerableVersion
        self.fixedVersion = fixedVersion
        self.reasons = reasons
        self.inputs = inputs
    }
}
