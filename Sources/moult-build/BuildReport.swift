//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import Commands
import PatchBuilding
import StrictJSON

/// What `build` says.
struct BuildReport {
    private let results: [BuildResult]
    private let isExplaining: Bool

    /// Makes a report.
    init(_ results: [BuildResult], isExplaining: Bool) {
        self.results = results
        self.isExplaining = isExplaining
    }

    /// 1 if anything failed, else 2 if anything was refused, else 0.
    var exitCode: ExitCode {
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
    var json: JSONValue {
        [
            "schema": "moult.build/1",
            "verdict": verdict.map(JSONValue.string) ?? .null,
            "exit-code": .integer(Int(exitCode.rawValue)),
            "patches": .array(results.map(Self.json)),
        ]
    }

    private static func json(_ result: BuildResult) -> JSONValue {
        var costs = JSONObject()
        for cost in result.prepared?.costs ?? [] { costs[cost.step] = .integer(Int(cost.seconds * 1000)) }
        let outcome = result.outcome
        return [
            "recipe": .string(result.recipe),
            "id": result.identifier.map(JSONValue.string) ?? .null,
            "verdict": outcome.map { .string($0.judgement.word) } ?? .null,
            "reasons": .array(outcome?.judgement.reasons.map(json) ?? []),
            "functions": .array(outcome?.functions.map(json) ?? []),
            "file": result.file.map(JSONValue.string) ?? .null,
            "digest": result.digest.map { .string($0.hexadecimal) } ?? .null,
            "picked": result.prepared.map { .string($0.offer.summary) } ?? .null,
            "rebuilt-without": .array((result.prepared?.offer.rebuiltWithout ?? []).map(JSONValue.string)),
            "compiler": result.prepared.map { .string($0.compiler) } ?? .null,
            "cpu-milliseconds": .object(costs),
            "failure": result.failure?.members ?? .null,
        ]
    }

    private static func json(_ reason: Reason) -> JSONValue {
        [
            "reason": .string(reason.code.rawValue), "subject": .string(reason.subject),
            "message": .string(reason.text), "remedy": .string(reason.code.remedy),
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

    /// The same as lines for people.
    var lines: [String] { results.flatMap(lines) }

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
        for reason in outcome.judgement.reasons {
            let subject = reason.subject.isEmpty ? "" : " \(reason.subject)"
            lines.append("  \(reason.code.rawValue)\(subject): \(reason.text)")
            if isExplaining || outcome.patch == nil { lines.append("    remedy: \(reason.code.remedy)") }
        }
        if let file = result.file { lines.append("  written: \(file)") }
        if let digest = result.digest { lines.append("  digest: sha256 \(digest.hexadecimal)") }
        if outcome.patch == nil { lines.append("  no live patch is made of it") }
        return lines
    }
}
