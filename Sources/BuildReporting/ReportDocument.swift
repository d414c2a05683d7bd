//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import Commands
import DWARF
import PatchBuilding
package import StrictJSON

/// A report as a program reads it: the document `moult.build-report/1`.
///
/// It has every member of `moult.build/1`, and for each fix what the page shows too.
package struct ReportDocument {
    private let results: [BuildResult]

    /// Makes a document of results.
    package init(_ results: [BuildResult]) {
        self.results = results
    }

    /// The document.
    package var json: JSONValue {
        let report = BuildReport(results, isExplaining: true)
        var counts = JSONObject()
        for result in results {
            guard case .integer(let count)? = counts[result.word] else {
                counts[result.word] = .integer(1)
                continue
            }
            counts[result.word] = .integer(count + 1)
        }
        return [
            "schema": "moult.build-report/1",
            "exit-code": .integer(Int(report.exitCode.rawValue)),
            "verdicts": .object(counts),
            "fixes": .array(results.map(Self.fix)),
        ]
    }

    private static func fix(_ result: BuildResult) -> JSONValue {
        guard case .object(var members) = BuildReport.json(result) else { return .null }
        members["milliseconds"] = .integer(Int(result.seconds * 1000))
        members["cves"] = .array((result.prepared?.recipe.cves ?? []).map(JSONValue.string))
        members["target"] =
            result.prepared.map { prepared in
                [
                    "package": .string(prepared.recipe.target.package),
                    "version": .string(prepared.offer.targetVersion),
                    "object": .string(prepared.recipe.target.object),
                ]
            } ?? .null
        members["layouts"] = .array((result.outcome?.layoutChanges ?? []).map(layout))
        members["listings"] = .array(result.listings.map(listing))
        return .object(members)
    }

    private static func layout(_ change: LayoutChange) -> JSONValue {
        [
            "type": .string(change.subject),
            "declared-before": change.before.map { .string($0.description) } ?? .null,
            "declared-after": change.after.map { .string($0.description) } ?? .null,
            "differences": .array(change.differences.map { .string($0.description) }),
            "objects": .array(change.objects.map(JSONValue.string)),
            "functions": .array(change.functions.map(JSONValue.string)),
        ]
    }

    private static func listing(_ listing: FunctionListing) -> JSONValue {
        [
            "function": .string(listing.name), "object": .string(listing.object),
            "rows": .array(listing.rows.map(row)),
        ]
    }

    private static func row(_ row: ListingRow) -> JSONValue {
        switch row {
        case .same(let before, let after):
            ["kind": "same", "before": instruction(before), "after": instruction(after)]
        case .changed(let before, let after):
            ["kind": "changed", "before": instruction(before), "after": instruction(after)]
        case .skipped(let count):
            ["kind": "skipped", "count": .integer(count)]
        }
    }

    private static func instruction(_ instruction: ListedInstruction?) -> JSONValue {
        guard let instruction else { return .null }
        return ["offset": .integer(instruction.offset), "text": .string(instruction.text)]
    }
}
