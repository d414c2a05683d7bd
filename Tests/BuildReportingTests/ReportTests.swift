//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Commands
import Foundation
import PatchBuilding
import StrictJSON
import Testing

@testable import BuildReporting

/// What a report says in each of its forms, and that its page is whole whatever stands in names.
@Suite("Reports of builds")
struct ReportTests {
    /// One fix that is automatic, one for a person, one that failed; with names that mean something in HTML.
    private static let results: [BuildResult] = {
        var good = BuildResult(recipe: "bookworm/answer/CVE-2026-0001.yaml")
        good.identifier = "CVE-2026-0001"
        good.seconds = 1.26
        good.outcome = Outcome(
            judgement: .automatic,
            functions: [
                Outcome.Function(name: "answer", object: "a.o", address: 0x1140, sizeBefore: 100, sizeAfter: 120),
                Outcome.Function(name: "operator<&>", object: "a.o", address: nil, sizeBefore: nil, sizeAfter: 30),
            ], patch: nil)
        good.listings = [
            FunctionListing(
                name: "operator<&>", object: "a.o",
                before: ["push %rbx", "mov <a>,%eax", "ret"].enumerated().map(instruction),
                after: ["push %rbx", "mov <b>,%eax", "ret"].enumerated().map(instruction))
        ]
        var person = BuildResult(recipe: "bookworm/answer/CVE-2026-0002.yaml")
        person.identifier = "CVE-2026-0002"
        person.outcome = Outcome(
            judgement: .review([Reason(.changedData, "table\"'", "The fix changes the contents of <table>.")]),
            functions: [], patch: nil)
        var failed = BuildResult(recipe: "bookworm/answer/x.yaml")
        failed.failure = Failure(reason: "malformed-recipe", message: "line 3 & 4", remedy: "Correct it.")
        return [good, person, failed]
    }()

    private static func instruction(_ number: Int, _ text: String) -> ListedInstruction {
        ListedInstruction(offset: number, text: text, form: text)
    }

    @Test("The table has a line for each fix and counts the verdicts")
    func table() {
        #expect(
            ReportTable(Self.results).lines == [
                "fix                     verdict    functions  bytes       seconds  reasons",
                "----------------------  ---------  ---------  ----------  -------  --------------------",
                "CVE-2026-0001           automatic  2          100 -> 150  1.3      ",
                "CVE-2026-0002           review     0                      0.0      changed-data table\"'",
                "bookworm/answer/x.yaml  failed     0                      0.0      malformed-recipe",
                "3 fixes: 1 automatic, 1 review, 1 failed",
            ])
    }

    @Test("The document has the members of a build, and more")
    func document() throws {
        let text = ReportDocument(Self.results).json.canonicalText
        let document = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(document["schema"] as? String == "moult.build-report/1")
        #expect(document["exit-code"] as? Int == 1)
        #expect(document["verdicts"] as? [String: Int] == ["automatic": 1, "review": 1, "failed": 1])
        let fixes = try #require(document["fixes"] as? [[String: Any]])
        #expect(fixes.map { $0["id"] as? String } == ["CVE-2026-0001", "CVE-2026-0002", nil])
        #expect(fixes[0]["milliseconds"] as? Int == 1260)
        let listing = try #require((fixes[0]["listings"] as? [[String: Any]])?.first)
        let rows = try #require(listing["rows"] as? [[String: Any]])
        #expect(rows.map { $0["kind"] as? String } == ["same", "changed", "same"])
        #expect((rows[1]["after"] as? [String: Any])?["text"] as? String == "mov <b>,%eax")
    }

    @Test("The page is well formed, and names are text in it")
    func page() throws {
        let html = ReportPage(Self.results).html
        #expect(html.contains("operator&lt;&amp;&gt;, before and after"))
        #expect(html.contains("table&quot;&#39;"))
        #expect(html.contains("<td class=\"code removed\">mov &lt;a&gt;,%eax</td>"))
        #expect(html.contains("<td class=\"code added\">mov &lt;b&gt;,%eax</td>"))
        #expect(!html.contains("<script"))
        // Every element that needs an end has one, in the right order.
        let void: Set<String> = ["meta", "html", "col"]
        var open: [String] = []
        let body = try #require(html.split(separator: "</style>", maxSplits: 1).last)
        for match in body.matches(of: /<(\/?)([a-z0-9]+)[^>]*>/) where !void.contains(String(match.2)) {
            if match.1.isEmpty {
                open.append(String(match.2))
            } else {
                #expect(open.popLast() == String(match.2), "before \(match.0)")
            }
        }
        #expect(open.isEmpty)
    }

    @Test("One that failed decides over one that was refused, and that over one that was done")
    func exitCodes() {
        #expect(BuildReport(Self.results, isExplaining: false).exitCode == .failed)
        #expect(BuildReport(Array(Self.results.prefix(2)), isExplaining: false).exitCode == .refused)
    }
}
