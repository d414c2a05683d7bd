//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
package import Commands
import LivePatch
import PatchBuilding
package import StrictJSON

/// What `build` says.
package struct BuildReport {
    private let results: [BuildResult]
    private let isExplaining: Bool

    /// Makes a report.
    package init(_ results: [BuildResult], isExplaining: Bool) {
        self.results = results
        self.isExplaining = isExplaining
    }

    /// 1 if anything failed, else 2 if anything was refused, else 0.
    package var exitCode: ExitCode {
        if results.contains(where: { $0.failure != nil }) { return .failed }
        return results.contains { $0.outcome?.patch == nil } ? .refused : .done
    }

    /// The verdict of all: the most careful one; nil if anything failed.
    private var verdict: String? {
        let order = ["empty", "automatic", "quiescent", "review", "impossible"]
        let words = results.map { $0.failure == nil ? $0.outcome?.judgement.word : nil }
        guard !words.contains(nil) else { return nil }
        return order.last { words.contains($0) }
    }

    /// The document `moult.build/1`.
    package var json: JSONValue {
        [
            "schema": "moult.build/1",
            "verdict": verdict.map(JSONValue.string) ?? .null,
            "exit-code": .integer(Int(exitCode.rawValue)),
            "patches": .array(results.map(Self.json)),
        ]
    }

    static func json(_ result: BuildResult) -> JSONValue {
        var costs = JSONObject()
        for cost in result.prepared?.costs ?? [] { costs[cost.step] = .integer(Int(cost.seconds * 1000)) }
        let outcome = result.outcome
        return [
            "recipe": .string(result.recipe),
            "id": result.identifier.map(JSONValue.string) ?? .null,
            "target": result.target.map { ["package": .string($0.package), "object": .string($0.object)] } ?? .null,
            "verdict": outcome.map { .string($0.judgement.word) } ?? .null,
            "reasons": .array(reasons(result).map(json)),
            "waivers": .array(outcome?.waived.map(json) ?? []),
            "adapted": result.prepared?.recipe.adaptation.map {
                ["name": .string($0.name), "because": .string($0.because)]
            }
                ?? .null,
            "functions": .array(outcome?.functions.map(json) ?? []),
            "fixups": .array(outcome?.patch?.fixUps.map(\.json) ?? []),
            "file": result.file.map(JSONValue.string) ?? .null,
            "digest": result.digest.map { .string($0.hexadecimal) } ?? .null,
            "picked": result.prepared.map { .string($0.offer.summary) } ?? .null,
            "rebuilt-without": .array((result.prepared?.offer.rebuiltWithout ?? []).map(JSONValue.string)),
            "inputs": .array(result.inputs.map(JSONValue.string)),
            "compiler": result.prepared.map { .string($0.compiler) } ?? .null,
            "cpu-milliseconds": .object(costs),
            "failure": result.failure?.members ?? .null,
        ]
    }

    /// Why the verdict is what it is, or why the fix changes nothing.
    private static func reasons(_ result: BuildResult) -> [Reason] {
        (result.outcome?.judgement.reasons ?? []) + result.reasonsForNoEffect
    }

    private static func json(_ reason: Reason) -> JSONValue {
        [
            "reason": .string(reason.code.rawValue), "subject": .string(reason.subject),
            "message": .string(reason.text), "remedy": .string(reason.code.remedy),
        ]
    }

    private static func json(_ waived: Outcome.Waived) -> JSONValue {
        let waiver = waived.waiver
        return [
            "reason": .string(waiver.code.rawValue), "object": .string(waiver.object),
            "subject": .string(waiver.subject), "because": .string(waiver.because),
            "use": waived.record.use.map { .string($0.rawValue) } ?? .null,
            "messages": .array(waived.reasons.map { .string($0.text) }),
        ]
    }

    private static func json(_ function: Outcome.Function) -> JSONValue {
        [
            "name": .string(function.name), "object": .string(function.object),
            "address": function.address.map { .string($0.hexadecimal) } ?? .null,
            "old-size": function.sizeBefore.map { .integer(Int(clamping: $0)) } ?? .null,
            "new-size": function.sizeAfter.map { .integer(Int(clamping: $0)) } ?? .null,
        ]
    }

    /// The packages among the inputs, as `name=version`.
    private static func packages(_ inputs: [String]) -> [String] {
        inputs.compactMap { $0.split(separator: " ").last.map(String.init) }.filter { $0.contains("=") }.sorted()
    }

    /// The same as lines for people.
    package var lines: [String] { results.flatMap(lines) }

    private func lines(_ result: BuildResult) -> [String] {
        let name = result.identifier ?? result.recipe
        var lines: [String] = []
        if let failure = result.failure {
            lines.append("\(name): failed")
            lines.append(contentsOf: failure.message.split(separator: "\n").map { "  \($0)" })
            lines.append("  reason: \(failure.reason)")
            return lines + ["  remedy: \(failure.remedy)"]
        }
        guard let outcome = result.outcome else { return lines }
        lines.append("\(name): \(outcome.judgement.word)")
        if let prepared = result.prepared { lines.append("  \(prepared.offer.summary)") }
        for function in outcome.functions {
            let before = function.sizeBefore.map(String.init) ?? "none"
            let after = function.sizeAfter.map(String.init) ?? "none"
            lines.append("  \(function.name) (\(function.object)): \(before) -> \(after) bytes")
        }
        for reason in Self.reasons(result) {
            let subject = reason.subject.isEmpty ? "" : " \(reason.subject)"
            lines.append("  \(reason.code.rawValue)\(subject): \(reason.text)")
            if isExplaining || outcome.patch == nil { lines.append("    remedy: \(reason.code.remedy)") }
        }
        if let adaptation = result.prepared?.recipe.adaptation {
            lines.append("  adapted by \(adaptation.name), because \(adaptation.because)")
        }
        for waived in outcome.waived {
            let use = waived.record.use.map { ", its \($0.rawValue) contents are used" } ?? ""
            lines.append("  waived: \(waived.waiver.code.rawValue) \(waived.waiver.subject)\(use)")
            if isExplaining { lines += waived.reasons.map { "    \($0.text)" } }
            lines.append("    because \(waived.waiver.because)")
        }
        for fixUp in outcome.patch?.fixUps ?? [] {
            lines.append("  sets \(fixUp.line)")
            lines.append("    because \(fixUp.because)")
        }
        if let file = result.file { lines.append("  written: \(file)") }
        if let digest = result.digest { lines.append("  digest: sha256 \(digest.hexadecimal)") }
        if outcome.judgement == .empty {
            lines.append("  the fix changes nothing in this target, so there is nothing to patch")
        } else if outcome.patch == nil {
            lines.append("  no live patch is made of it")
        }
        if outcome.judgement.reasons.contains(where: { [.notMatched, .otherContents].contains($0.code) }) {
            // Where the bytes differ, other versions of what made them are the usual cause.
            lines.append("  built with \(result.prepared?.compiler ?? "") and")
            lines.append(contentsOf: Self.packages(result.inputs).map { "    \($0)" })
        }
        return lines
    }
}
