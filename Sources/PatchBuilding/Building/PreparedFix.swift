//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A fix made ready for matching, diffing and linking: the shipped binary and the rebuilt objects.
package struct PreparedFix: Sendable {
    /// The recipe it was made after.
    package var recipe: Recipe
    /// What was picked.
    package var offer: Offer
    /// The author's source patch, where the recipe names one.
    package var adaptation: Offer.Input?
    /// The whole file of the target: as the distribution ships it, or as it was rebuilt.
    package var shipped: [UInt8]
    /// Absolute path of the rebuilt target, a file that can be loaded; nil if the target is the shipped one.
    package var rebuiltTarget: String?
    /// Every object of the target that the fix can affect.
    package var objects: [RebuiltObject]
    /// Headers that the fix touches, as paths from the root of the source tree.
    package var touchedHeaders: [String]
    /// Files that the fix touches and that may change what is compiled otherwise than by going into an object.
    package var unfollowed: [String]
    /// The compiler that was used, as `gcc --version` names it.
    package var compiler: String
    /// The packages of this machine that went into the objects: compiler, assembler, headers, and what the build
    /// recipe names. The digest is that of dpkg's list of the package's files and their digests, which is also
    /// in the package itself (`md5sums`).
    package var packages: [Offer.Input]
    /// Processor seconds (user and system, with all tools that were run) per step, in order.
    package var costs: [Cost]
    /// What is needed to say why nothing changes.
    var effect: FixEffect

    /// What one step took.
    package struct Cost: Sendable, Equatable {
        /// The step: `fetch`, `survey` or `full`, `affected`, `objects`.
        package var step: String
        /// Processor seconds.
        package var seconds: Double

        /// Makes it of its parts.
        package init(step: String, seconds: Double) {
            self.step = step
            self.seconds = seconds
        }
    }

    /// Processor seconds of all steps.
    package var cpuSeconds: Double { costs.reduce(0) { $0 + $1.seconds } }

    /// One line per file and package that was used: `sha256:<hex> <name>`, sorted.
    package var inputs: [String] {
        (offer.inputs + (adaptation.map { [$0] } ?? []) + packages).map { "sha256:\($0.sha256) \($0.name)" }.sorted()
    }

    /// Why the fix changes nothing in the target; to be asked when that is the judgement.
    ///
    /// - Throws: `PreparationError`.
    package func reasonsForNoEffect() async throws -> [Reason] { try await effect.reasons() }
}
