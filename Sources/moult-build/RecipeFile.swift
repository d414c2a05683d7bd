//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import PatchBuilding

/// The recipes of a file, one for each target that it names, with the build recipe beside it, and the digests of
/// both files as they were read.
struct RecipeFile {
    /// The fix, for each target.
    var recipes: [Recipe]
    /// How the distribution builds the source.
    var build: BuildRecipe
    /// One line per file, as live patches name their inputs: `sha256:<hex> <name>`.
    var inputs: [String]

    /// Reads both files once: what is digested is what is followed.
    ///
    /// - Throws: `PreparationError` with `malformedRecipe`, naming file and line.
    init(_ path: String) throws(PreparationError) {
        let text = try Recipe.text(path)
        let location = try Recipe.Location(path: path)
        recipes = try Recipe.all(text: text, location: location, file: path)
        let buildPath = BuildRecipe.path(besideRecipe: path)
        let buildText = try Recipe.text(buildPath)
        build = try BuildRecipe(
            text: buildText, suite: location.suite, source: location.source, file: buildPath)
        inputs = [
            Self.input("\(location.identifier).yaml", text), Self.input("build.yaml", buildText),
        ]
    }

    private static func input(_ name: String, _ text: String) -> String {
        let bytes = Array(text.utf8)
        return "sha256:\(SHA256.digest(of: bytes.span.bytes).hexadecimal) \(name)"
    }
}
