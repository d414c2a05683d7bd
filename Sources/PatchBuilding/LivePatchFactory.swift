//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// From rebuilt objects and the shipped binary to a live patch: match, diff, judge, link.
package enum LivePatchFactory {
    /// Makes the live patch of one fix for one target.
    ///
    /// - Parameters:
    ///   - shipped: the whole file as the distribution ships it, stripped or not.
    ///   - objects: every object of the target that the fix can affect. Objects that come out unchanged are
    ///     used for finding symbols only.
    ///   - description: what the patch says of itself. The reasons of the judgement are put into its
    ///     provenance.
    ///   - touchedHeaders: names of the project's headers that the fix changes: layouts cannot be judged yet,
    ///     so any makes the judgement `review`.
    /// - Returns: the judgement, the functions concerned, and the patch if it can be applied.
    /// - Throws: `PatchBuildingError` where the inputs are broken or the objects are not those of the target.
    package static func makePatch(
        shipped: [UInt8], objects: [RebuiltObject], description: PatchDescription, touchedHeaders: [String] = []
    ) throws(PatchBuildingError) -> Outcome {
        throw PatchBuildingError(.notMatched, "matching is not written yet")
    }
}
