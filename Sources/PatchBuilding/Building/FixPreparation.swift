//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// From a recipe to the shipped binary and rebuilt objects.
package enum FixPreparation {
    /// Fetches what the recipe names, prepares the distribution's build and builds the affected objects.
    ///
    /// What was fetched and surveyed once is taken from the cache, without network.
    ///
    /// - Parameters:
    ///   - recipe: the fix.
    ///   - build: how the distribution builds the source of the recipe.
    ///   - cache: where everything is kept.
    ///   - progress: called with a sentence for a person at the beginning of each step.
    /// - Returns: the shipped binary and the rebuilt objects.
    /// - Throws: `PreparationError`.
    package static func prepare(
        recipe: Recipe, build: BuildRecipe, cache: Cache = .standard(),
        progress: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws -> PreparedFix {
        throw PreparationError(.systemFailed, "preparing is not written yet")
    }
}
