//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import Approval
package import Commands
package import PatchBuilding

/// What came of one recipe.
package struct BuildResult: Sendable {
    /// The recipe's path as it was given.
    package var recipe: String
    /// The live patch's name; nil if the recipe could not be read.
    package var identifier: String?
    /// What it is for; nil if the recipe could not be read.
    package var target: Recipe.ShippedObject?
    /// What was picked and what it cost; nil if preparing failed.
    package var prepared: PreparedFix?
    /// Why the fix changes nothing; empty unless that is the judgement.
    package var reasonsForNoEffect: [Reason] = []
    /// Every file and package that was used: `sha256:<hex> <name>`, sorted.
    package var inputs: [String] = []
    /// The judgement and the functions concerned; nil if it did not come to that.
    package var outcome: Outcome?
    /// Disassemblies side by side; empty unless a report is asked for.
    package var listings: [FunctionListing] = []
    /// Where the live patch was written; nil if it was not.
    package var file: String?
    /// The live patch's digest; nil if there is none.
    package var digest: PatchDigest?
    /// Why it failed; nil if it did not. A verdict is no failure.
    package var failure: Failure?
    /// Seconds from the recipe to the live patch or the reasons why not, on the wall clock.
    package var seconds = 0.0

    /// Begins with a recipe.
    package init(recipe: String) {
        self.recipe = recipe
    }

    /// The fix's name, or what stands for it where the recipe could not be read.
    package var name: String { identifier ?? recipe }

    /// The verdict as a word, or `failed`.
    package var word: String { failure == nil ? outcome?.judgement.word ?? "failed" : "failed" }

    /// Every word of that kind, in the order in which they are counted up for people.
    package static let words = ["automatic", "quiescent", "review", "impossible", "empty", "failed"]

    /// Processor seconds of all steps.
    package var processorSeconds: Double { prepared?.cpuSeconds ?? 0 }
}
