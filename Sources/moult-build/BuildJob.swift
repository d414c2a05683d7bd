//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import Commands
import FoundationEssentials
import LivePatch
import PatchBuilding

/// What came of one recipe.
struct BuildResult {
    /// The recipe's path as it was given.
    var recipe: String
    /// The fix's name; nil if the recipe could not be read.
    var identifier: String?
    /// What was picked and what it cost; nil if preparing failed.
    var prepared: PreparedFix?
    /// The judgement and the functions concerned; nil if it did not come to that.
    var outcome: Outcome?
    /// Where the live patch was written; nil if it was not.
    var file: String?
    /// The live patch's digest; nil if there is none.
    var digest: PatchDigest?
    /// Why it failed; nil if it did not. A verdict is no failure.
    var failure: Failure?
}

/// Builds live patches, one recipe after the other.
struct BuildJob {
    /// The directory that files are written to; nil to judge only.
    var output: String?

    /// Builds the live patch of one recipe.
    func build(_ path: String) async -> BuildResult {
        var result = BuildResult(recipe: path)
        do {
            let recipe = try Recipe(path: path)
            result.identifier = recipe.location.identifier
            let prepared = try await FixPreparation.prepare(
                recipe: recipe, build: try BuildRecipe(besideRecipe: path), progress: Self.say)
            result.prepared = prepared
            Self.say("comparing and judging")
            let outcome = try LivePatchFactory.makePatch(
                shipped: prepared.shipped, objects: prepared.objects, description: PatchDescription(prepared),
                touchedHeaders: prepared.touchedHeaders)
            result.outcome = outcome
            if let patch = outcome.patch { try write(patch, to: &result) }
        } catch let error as PreparationError {
            result.failure = Failure(
                reason: error.code.rawValue,
                message: error.details.isEmpty ? error.reason : "\(error.reason)\n\(error.details)",
                remedy: error.code.remedy)
        } catch let error as PatchBuildingError {
            result.failure = Failure(reason: error.code.rawValue, message: error.reason, remedy: error.code.remedy)
        } catch let error as PatchFormatError {
            result.failure = Failure(
                reason: error.code.rawValue, message: error.reason,
                remedy: "Report it: the builder made what it cannot write.")
        } catch {
            result.failure = Failure(
                reason: PreparationError.Code.systemFailed.rawValue, message: "\(error)",
                remedy: PreparationError.Code.systemFailed.remedy)
        }
        return result
    }

    /// Writes the file under its final name in one step: who finds it finds all of it.
    private func write(_ patch: Patch, to result: inout BuildResult) throws {
        let bytes = try PatchWriter.write(patch) { SHA256.digest(of: $0).bytes }
        result.digest = try WholeFile.verify(bytes.span.bytes)
        guard let output else { return }
        let directory = URL(filePath: output, directoryHint: .isDirectory)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let file = directory.appending(path: "\(patch.identifier).moult")
        try Data(bytes).write(to: file, options: .atomic)
        result.file = file.path
    }

    private static func say(_ step: String) {
        StandardStream.error.write(line: "[build] \(step.printable)")
    }
}

extension PatchDescription {
    /// What the live patch of a prepared fix says of itself.
    fileprivate init(_ prepared: PreparedFix) {
        let recipe = prepared.recipe
        let name = recipe.target.object.split(separator: "/").last.map(String.init) ?? recipe.target.object
        self.init(
            identifier: recipe.location.identifier, targetName: name, package: recipe.target.package,
            packageVersion: prepared.offer.targetVersion,
            provenance: Provenance(
                cves: recipe.cves.sorted(), partOf: recipe.partOf, source: recipe.location.source,
                suite: recipe.location.suite, vulnerableVersion: prepared.offer.vulnerableVersion,
                fixedVersion: prepared.offer.fixed.version, reasons: [], inputs: prepared.inputs))
    }
}
