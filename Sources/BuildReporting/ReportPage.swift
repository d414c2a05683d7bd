//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Commands
import DWARF
import PatchBuilding

/// A report as a page for people: one file of HTML that needs nothing else, without scripts.
package struct ReportPage {
    private let results: [BuildResult]

    /// Makes a page of results.
    package init(_ results: [BuildResult]) {
        self.results = results
    }

    /// The page.
    package var html: String {
        var page = HTML()
        page.raw(
            """
            <!doctype html>
            <html lang="en">
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>Moult: fixes and verdicts</title>
            <style>
            \(ReportStyle.sheet)
            </style>

            """)
        page.element("h1", text: "Fixes and verdicts")
        summary(&page)
        for (number, result) in results.enumerated() { section(result, number: number, &page) }
        return page.text + "</html>\n"
    }

    // MARK: - Summary

    private func summary(_ page: inout HTML) {
        page.open("p")
        for word in BuildResult.words {
            let count = results.count { $0.word == word }
            if count > 0 { page.element("span", class: "verdict \(word)", text: "\(count) \(word)") }
        }
        page.close("p")
        page.open("table", class: "summary")
        page.row(header: ["fix", "target", "verdict", "functions", "bytes before", "after", "seconds"])
        for (number, result) in results.enumerated() {
            let functions = result.outcome?.functions ?? []
            page.open("tr")
            page.raw("<td><a href=\"#fix-\(number)\">\(HTML.escaped(result.name))</a></td>")
            page.element("td", text: result.prepared.map(Self.target) ?? "")
            page.raw("<td><span class=\"verdict \(result.word)\">\(result.word)</span></td>")
            page.element("td", class: "number", text: String(functions.count))
            page.element("td", class: "number", text: String(functions.compactMap(\.sizeBefore).reduce(0, +)))
            page.element("td", class: "number", text: String(functions.compactMap(\.sizeAfter).reduce(0, +)))
            page.element("td", class: "number", text: Decimal.tenths(result.seconds))
            page.close("tr")
        }
        page.close("table")
    }

    private static func target(_ prepared: PreparedFix) -> String {
        let name = prepared.recipe.target.object.split(separator: "/").last.map(String.init) ?? ""
        return "\(name) of \(prepared.recipe.target.package) \(prepared.offer.targetVersion)"
    }

    // MARK: - One fix

    private func section(_ result: BuildResult, number: Int, _ page: inout HTML) {
        page.raw("<section id=\"fix-\(number)\">")
        page.raw(
            "<h2>\(HTML.escaped(result.name)) <span class=\"verdict \(result.word)\">\(result.word)</span></h2>")
        if let prepared = result.prepared {
            page.element("p", text: Self.target(prepared) + "; " + prepared.offer.summary)
            if !prepared.recipe.cves.isEmpty {
                page.element("p", text: "Closes " + prepared.recipe.cves.joined(separator: ", ") + ".")
            }
            if !prepared.recipe.partOf.isEmpty { page.element("p", text: "Part of: " + prepared.recipe.partOf) }
            if !prepared.recipe.probe.isEmpty {
                page.element("p", text: "From outside: " + prepared.recipe.probe)
            }
        }
        if let failure = result.failure {
            page.element("pre", text: failure.message)
            page.element("p", class: "remedy", text: "\(failure.reason): \(failure.remedy)")
        }
        if let outcome = result.outcome { show(outcome, &page) }
        listings(result.listings, &page)
        costs(result, &page)
        page.raw("</section>\n")
    }

    private func show(_ outcome: Outcome, _ page: inout HTML) {
        if !outcome.judgement.reasons.isEmpty {
            page.open("table")
            page.row(header: ["reason", "about", "what was found", "what to do"])
            for reason in outcome.judgement.reasons {
                page.row([reason.code.rawValue, reason.subject, reason.text, reason.code.remedy])
            }
            page.close("table")
        }
        layouts(outcome.layoutChanges, &page)
        if !outcome.functions.isEmpty {
            page.open("table")
            page.row(header: ["function", "object", "address", "bytes before", "after"])
            for function in outcome.functions {
                page.row([
                    function.name, function.object, function.address.map(\.hexadecimal) ?? "",
                    function.sizeBefore.map(String.init) ?? "new", function.sizeAfter.map(String.init) ?? "gone",
                ])
            }
            page.close("table")
        }
    }

    private func layouts(_ changes: [LayoutChange], _ page: inout HTML) {
        guard !changes.isEmpty else { return }
        page.open("table")
        page.row(header: ["layout", "declared", "what is different", "used by"])
        for change in changes {
            let places = [change.before, change.after].compactMap { $0.map(\.description) }
            page.row([
                change.subject, places.first == places.last ? places.first ?? "" : places.joined(separator: " -> "),
                change.differences.map(\.description).joined(separator: "; "), change.functions.joined(separator: ", "),
            ])
        }
        page.close("table")
    }

    private func listings(_ listings: [FunctionListing], _ page: inout HTML) {
        for listing in listings {
            page.open("details")
            page.element("summary", text: "\(listing.name), before and after")
            page.open("table", class: "listing")
            page.raw("<colgroup><col class=\"offset\"><col><col class=\"offset\"><col></colgroup>\n")
            for row in listing.rows {
                switch row {
                case .skipped(let count):
                    let words = count == 1 ? "1 equal instruction" : "\(count) equal instructions"
                    page.raw("<tr class=\"skipped\"><td colspan=\"4\">\(words)</td></tr>\n")
                case .same(let before, let after): line(before, after, isChanged: false, &page)
                case .changed(let before, let after): line(before, after, isChanged: true, &page)
                }
            }
            page.close("table")
            page.close("details")
        }
    }

    private func line(
        _ before: ListedInstruction?, _ after: ListedInstruction?, isChanged: Bool, _ page: inout HTML
    ) {
        page.open("tr")
        for (instruction, side) in [(before, "removed"), (after, "added")] {
            let mark = isChanged && instruction != nil ? side : ""
            page.element("td", class: "offset", text: instruction.map { String($0.offset, radix: 16) } ?? "")
            page.element("td", class: "code \(mark)", text: instruction?.text ?? "")
        }
        page.close("tr")
    }

    private func costs(_ result: BuildResult, _ page: inout HTML) {
        guard let prepared = result.prepared else { return }
        let steps = prepared.costs.map { "\($0.step) \(Decimal.tenths($0.seconds)) s" }.joined(separator: ", ")
        page.element(
            "p", class: "costs",
            text: "\(Decimal.tenths(result.seconds)) s in all; processor: \(steps). Compiler: \(prepared.compiler).")
    }
}
