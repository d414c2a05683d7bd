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
    /// Reasons that hinder no more, because the author of the recipe answers for them; in the recipe's order.
    package var waivers: [Waiver]
    /// How the author changed the source of the fix; nil if it is compiled as it was taken.
    package var adaptation: Adaptation?
    /// One line per input that was used: `sha256:<hex> <name>`; sorted.
    package var inputs: [String]

    /// Makes a provenance of its parts.
    package init(
        cves: [String], partOf: String, source: String, suite: String, vulnerableVersion: String, fixedVersion: String,
        reasons: [String], waivers: [Waiver] = [], adaptation: Adaptation? = nil, inputs: [String]
    ) {
        self.cves = cves
        self.partOf = partOf
        self.source = source
        self.suite = suite
        self.vulnerableVersion = vulnerableVersion
        self.fixedVersion = fixedVersion
        self.reasons = reasons
        self.waivers = waivers
        self.adaptation = adaptation
        self.inputs = inputs
    }

    /// A reason that a person has looked at and answers for.
    package struct Waiver: Sendable, Equatable {
        /// The reason's stable word: `changed-data`.
        package var reason: String
        /// The rebuilt object that the subject belongs to; empty where the name says enough.
        package var object: String
        /// What the reason is about: a datum, a function, a header.
        package var subject: String
        /// Which contents of a changed datum the new functions use; nil where the reason is about none.
        package var use: DataUse?
        /// Why it is safe, in the author's words.
        package var because: String

        /// Makes a waiver of its parts.
        package init(reason: String, object: String, subject: String, use: DataUse?, because: String) {
            self.reason = reason
            self.object = object
            self.subject = subject
            self.use = use
            self.because = because
        }
    }

    /// Which contents of a changed datum the new functions use. The datum of the target itself stays as it is.
    package enum DataUse: String, Sendable, CaseIterable {
        /// The target's own datum, as the old functions do.
        case old
        /// A copy with the contents of the fix, in the image.
        case new
    }

    /// A source patch of the author's, applied on top of the fix before it was compiled.
    package struct Adaptation: Sendable, Equatable {
        /// File name of the source patch; its digest is among the inputs.
        package var name: String
        /// Why the fix is not taken as it is, in the author's words.
        package var because: String

        /// Makes an adaptation of its parts.
        package init(name: String, because: String) {
            self.name = name
            self.because = because
        }
    }
}
