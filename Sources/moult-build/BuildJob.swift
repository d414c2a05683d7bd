//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import BuildReporting
import Commands
import FoundationEssentials
import LivePatch
import PatchBuilding

/// Builds live patches, one recipe after the other.
struct BuildJob {
    /// The directory that files are written to; nil to judge only.
    var output: String?
    /// Whether functions are disassembled for a report.
    var isReporting = false

    /// Builds the live patches of one file: one for each target that it names.
    func build(_ path: String) async -> [BuildResult] {
        let file: RecipeFile
        do throws(PreparationError) {
            file = try RecipeFile(path)
        } catch {
            var result = BuildResult(recipe: path)
            result.identifier = (try? Recipe.Location(path: path))?.identifier
            result.failure = Self.failure(error)
            return [result]
        }
        var results: [BuildResult] = []
        for recipe in file.recipes { results.append(await build(recipe, of: file, path)) }
        return results
    }

    private static func failure(_ error: PreparationError) -> Failure {
        Failure(
            reason: error.code.rawValue,
            message: error.details.isEmpty ? error.reason : "\(error.reason)\n\(error.details)",
            remedy: error.code.remedy)
    }

    private func build(_ recipe: Recipe, of file: RecipeFile, _ path: String) async -> BuildResult {
        let start = ContinuousClock.now
        var result = BuildResult(recipe: path)
        result.identifier = recipe.location.identifier
        result.target = recipe.target
        do {
            let prepared = try await FixPreparation.prepare(
                recipe: recipe, build: file.build, progress: Self.say)
            result.prepared = prepared
            result.inputs = (prepared.inputs + file.inputs).sorted()
            Self.say("comparing and judging")
            let outcome = try LivePatchFactory.makePatch(
                shipped: prepared.shipped, objects: prepared.objects,
                description: PatchDescription(prepared, inputs: result.inputs),
                touchedHeaders: prepared.touchedHeaders, unfollowed: prepared.unfollowed, waivers: recipe.waivers,
                fixUps: recipe.fixUps)
            result.outcome = outcome
            if outcome.judgement == .empty {
                result.reasonsForNoEffect = try await prepared.reasonsForNoEffect()
            }
            if isReporting { result.listings = try await FunctionListing.listings(of: prepared.objects) }
            if let patch = outcome.patch { try write(patch, to: &result) }
        } catch let error as PreparationError {
            result.failure = Self.failure(error)
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
        result.seconds = (ContinuousClock.now - start) / .seconds(1)
        return result
    }

    /// Writes the file under its final name in one step: who finds it finds all of it.
    private func write(_ patch: Patch, to result: inout BuildResult) throws {
        let bytes = try PatchWriter.write(patch) { SHA256.digest(of: $0).bytes }
        result.digest = try WholeFile.verify(bytes.span.bytes)
        guard let output else { return }
        let directory = URL(filePath: output, directoryHint: .isDirectory).path
        let file = URL(filePath: directory).appending(path: "\(patch.identifier).moult").path
        try OutputFile.write(bytes, to: file)
        result.file = file
    }

    private static func say(_ step: String) {
        StandardStream.error.write(line: "[build] \(step.printable)")
    }
}

extension PatchDescription {
    /// What the live patch of a prepared fix says of itself.
    fileprivate init(_ prepared: PreparedFix, inputs: [String]) {
        let recipe = prepared.recipe
        let name = recipe.target.object.split(separator: "/").last.map(String.init) ?? recipe.target.object
        self.init(
            identifier: recipe.location.identifier, targetName: name, package: recipe.target.package,
            packageVersion: prepared.offer.targetVersion,
            provenance: Provenance(
                cves: recipe.cves.sorted(), partOf: recipe.partOf, source: recipe.location.source,
                suite: recipe.location.suite, vulnerableVersion: prepared.offer.vulnerableVersion,
                fixedVersion: prepared.offer.fixed.version, reasons: [],
                adaptation: recipe.adaptation.map { Provenance.Adaptation(name: $0.name, because: $0.because) },
                inputs: inputs))
    }
}
