//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// What was found to be really offered, and picked, for a recipe.
///
/// Files of one version go missing one by one from a distribution's archive, so what a recipe asks for and
/// what can be had differ from day to day; this says which it was.
package struct Offer: Sendable, Equatable {
    /// A file that was wanted and could not be had.
    package struct Missing: Sendable, Equatable {
        /// Name of the file, or what it is where no name is known.
        package var file: String
        /// Why, as a sentence.
        package var reason: String

        /// Makes it of its parts.
        package init(file: String, reason: String) {
            self.file = file
            self.reason = reason
        }
    }

    /// A file that was used.
    package struct Input: Sendable, Hashable {
        /// Name of the file, without its directory.
        package var name: String
        /// Its SHA-256, lower-case hexadecimal.
        package var sha256: String

        /// Makes it of its parts.
        package init(name: String, sha256: String) {
            self.name = name
            self.sha256 = sha256
        }
    }

    /// The version that was picked: of the shipped binary, or of the source that is rebuilt.
    package var vulnerable: String
    /// The distribution's patches that the target is rebuilt without; empty if the target is the shipped one.
    package var rebuiltWithout: [String]
    /// Where the fix was taken from.
    package var fixed: Recipe.FixedSource
    /// What was wanted first and was not there.
    package var missing: [Missing]
    /// Every file that was used, sorted by name.
    package var inputs: [Input]

    /// Makes an offer of its parts.
    package init(
        vulnerable: String, rebuiltWithout: [String] = [], fixed: Recipe.FixedSource, missing: [Missing],
        inputs: [Input]
    ) {
        self.vulnerable = vulnerable
        self.rebuiltWithout = rebuiltWithout
        self.fixed = fixed
        self.missing = missing
        self.inputs = inputs
    }

    /// The choice as a sentence for a person.
    package var summary: String {
        let count = rebuiltWithout.count
        let target =
            count == 0
            ? "vulnerable \(vulnerable)"
            : "target rebuilt, not shipped: \(vulnerable) without \(count) of its patches"
        let choice = "\(target), fix from \(fixed)"
        guard !missing.isEmpty else { return choice }
        return choice + "; not offered: " + missing.map(\.file).joined(separator: ", ")
    }

    /// The target's version in a few words, for where the target is named: never that of a shipped build if it
    /// is a rebuild.
    package var targetVersion: String {
        rebuiltWithout.isEmpty ? vulnerable : vulnerable + " (rebuilt, not shipped)"
    }

    /// The vulnerable version with everything that makes a rebuild another build than the shipped one.
    package var vulnerableVersion: String {
        rebuiltWithout.isEmpty
            ? vulnerable
            : "\(vulnerable), rebuilt without " + rebuiltWithout.joined(separator: ", ") + "; not a shipped build"
    }
}
