//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Commands
import PatchPlan
import ProcessInspection
import ProcessPatching
import StrictJSON

/// Writes what was done, as text or JSON, and says how the program ends.
struct Output {
    let command: String
    let format: OutputFormat
    let explains: Bool

    init(_ command: String, _ arguments: Arguments) throws(UsageError) {
        self.command = command
        format = try arguments.format()
        explains = arguments.has("explain")
    }

    /// The whole call is refused.
    func fail(_ refusal: Refusal) -> ExitCode {
        Failure(reason: refusal.reason.rawValue, message: refusal.sentence, remedy: refusal.remedy)
            .report(command: command, format: format)
        return .refused
    }

    // MARK: apply and undo

    /// Patches one process after the other and reports.
    func write(
        patching chosen: [Result<ProcessInstance, Refusal>], files: [PatchFile],
        _ body: (ProcessInstance) -> PatchingReport
    ) -> ExitCode {
        guard !chosen.isEmpty else {
            return fail(
                Refusal(
                    command == "apply" ? .targetNotMapped : .notApplied,
                    command == "apply" ? "No process uses the target." : "No process has it applied.",
                    remedy: "`moult targets` shows which processes use which builds."))
        }
        var reports: [PatchingReport] = []
        for item in chosen {
            switch item {
            case .success(let instance): reports.append(body(instance))
            case .failure(let refusal): reports.append(PatchingReport(pid: 0, outcome: .refused(refusal)))
            }
            if format == .text, let report = reports.last { writeText(report) }
        }
        let code = exitCode(reports)
        let done = reports.count { $0.outcome.isDone }
        if format == .json {
            let document: JSONValue = [
                "schema": .string("moult.\(command)/1"), "done": .integer(done), "of": .integer(reports.count),
                "exit-code": .integer(Int(code.rawValue)), "processes": .array(reports.map(json)),
            ]
            StandardStream.output.write(line: document.canonicalText)
        } else if reports.count > 1 {
            StandardStream.output.write(line: "\(command): \(done) of \(reports.count) processes")
        }
        return code
    }

    private func exitCode(_ reports: [PatchingReport]) -> ExitCode {
        let done = reports.count { $0.outcome.isDone }
        if done == reports.count { return .done }
        if done > 0 { return .partly }
        for report in reports {
            if case .failed = report.outcome { return .failed }
        }
        for report in reports {
            switch report.outcome {
            case .busy, .notYet: return .busy
            default: continue
            }
        }
        return .refused
    }

    private func writeText(_ report: PatchingReport) {
        var line = "pid \(report.pid): "
        switch report.outcome {
        case .done: line += command == "undo" ? "undone" : "applied"
        case .alreadyDone: line += command == "undo" ? "was undone already" : "was applied already"
        case .possible: line += "would be possible; nothing was changed"
        case .refused(let refusal): line += "refused (\(refusal.reason.rawValue)): \(refusal.sentence)"
        case .busy(let threads):
            let names = threads.map { "thread \($0.thread) in \($0.function)" }.joined(separator: ", ")
            line += "busy until the deadline, nothing was changed: \(names)"
        case .notYet(let refusal): line += "not possible until the deadline, nothing was changed: \(refusal.sentence)"
        case .failed(let reason): line += "failed: \(reason)"
        }
        if let transaction = report.transaction {
            line += " [\(transaction.patches.map(\.identifier).joined(separator: ", ")); \(transaction.state.rawValue)"
            if report.stops > 0 {
                line += "; \(report.threads) threads stopped for \(report.longestStop / 1000) µs at most"
            }
            line += "]"
        }
        StandardStream.output.write(line: line.printable)
        if case .refused(let refusal) = report.outcome {
            StandardStream.output.write(line: "  remedy: \(refusal.remedy.printable)")
        }
        if explains { writeExplanation(report) }
    }

    private func writeExplanation(_ report: PatchingReport) {
        for patch in report.transaction?.patches ?? [] {
            StandardStream.output.write(
                line: "  \(patch.identifier) for \(patch.target) \(patch.packageVersion): ".printable
                    + patch.functions.joined(separator: ", ").printable)
        }
        switch report.outcome {
        case .busy(let threads):
            for thread in threads {
                StandardStream.output.write(
                    line: "  thread \(thread.thread) "
                        + (thread.byScan
                        ? "may be in \(thread.function): its stack was scanned word by word"
                        : "is in \(thread.function)").printable)
            }
            StandardStream.output.write(
                line: "  This patch may be switched only while no thread is in these functions. Try a longer --timeout."
            )
        case .refused: StandardStream.output.write(line: "  Nothing was changed in this process.")
        default: break
        }
    }

    private func json(_ report: PatchingReport) -> JSONValue {
        var members: JSONObject = [
            "pid": .integer(Int(report.pid)),
            "instance": report.instance.map { .string($0.identifier) } ?? .null,
            "outcome": .string(report.outcome.name),
            "transaction": report.transaction.map(json) ?? .null,
            "stops": .integer(report.stops), "threads": .integer(report.threads),
            "longest-stop-ns": .integer(Int(report.longestStop)),
        ]
        switch report.outcome {
        case .refused(let refusal), .notYet(let refusal): members.describe(refusal)
        case .busy(let threads):
            members["reason"] = "busy"
            members["busy"] = .array(
                threads.map {
                    [
                        "thread": .integer(Int($0.thread)), "function": .string($0.function),
                        "by-scan": .bool($0.byScan),
                    ]
                })
        case .failed(let reason):
            members["reason"] = "failed"
            members["message"] = .string(reason)
        case .done, .alreadyDone, .possible: break
        }
        return .object(members)
    }

    private func json(_ transaction: TransactionReport) -> JSONValue {
        [
            "id": .string(Self.hexadecimal(transaction.identifier)), "state": .string(transaction.state.rawValue),
            "patches": .array(
                transaction.patches.map { patch in
                    [
                        "id": .string(patch.identifier), "digest": .string(Self.hexadecimal(patch.digest)),
                        "target": .string(patch.target), "build-id": .string(Self.hexadecimal(patch.buildID)),
                        "package-version": .string(patch.packageVersion),
                        "cves": .array(patch.cves.map { .string($0) }), "part-of": .string(patch.partOf),
                        "functions": .array(patch.functions.map { .string($0) }),
                        "address": .string("0x" + String(patch.address, radix: 16)),
                    ]
                }),
        ]
    }

    // MARK: verify

    /// Compares one process after the other and reports.
    func write(
        verifying chosen: [Result<ProcessInstance, Refusal>], _ body: (ProcessInstance) -> VerificationReport
    ) -> ExitCode {
        guard !chosen.isEmpty else {
            return fail(
                Refusal(.notApplied, "No process has it applied.", remedy: "`moult status` shows what is applied."))
        }
        var reports: [VerificationReport] = []
        for item in chosen {
            switch item {
            case .success(let instance): reports.append(body(instance))
            case .failure(let refusal):
                var report = VerificationReport(pid: 0)
                report.refusal = refusal
                reports.append(report)
            }
        }
        let whole = reports.count { $0.isWhole }
        let code: ExitCode = whole == reports.count ? .done : whole > 0 ? .partly : .failed
        switch format {
        case .json:
            let document: JSONValue = [
                "schema": .string("moult.\(command)/1"), "whole": .integer(whole), "of": .integer(reports.count),
                "exit-code": .integer(Int(code.rawValue)), "processes": .array(reports.map(json)),
            ]
            StandardStream.output.write(line: document.canonicalText)
        case .text:
            for report in reports { writeText(report) }
            if reports.count > 1 { StandardStream.output.write(line: "verify: \(whole) of \(reports.count) processes") }
        }
        return code
    }

    private func writeText(_ report: VerificationReport) {
        let names = report.transactions.flatMap(\.patches).map(\.identifier).joined(separator: ", ")
        if let refusal = report.refusal {
            StandardStream.output.write(
                line: "pid \(report.pid): refused (\(refusal.reason.rawValue)): \(refusal.sentence)".printable)
            StandardStream.output.write(line: "  remedy: \(refusal.remedy.printable)")
        } else if report.isWhole {
            StandardStream.output.write(line: "pid \(report.pid): memory is as it must be [\(names)]".printable)
        } else if report.transactions.isEmpty, report.differences.isEmpty {
            StandardStream.output.write(line: "pid \(report.pid): nothing is applied")
        } else {
            StandardStream.output.write(line: "pid \(report.pid): memory is not as it must be".printable)
            for difference in report.differences {
                StandardStream.output.write(
                    line: "  \(difference.kind.rawValue) at 0x\(String(difference.address, radix: 16)): "
                        + difference.sentence.printable)
            }
        }
    }

    private func json(_ report: VerificationReport) -> JSONValue {
        var members: JSONObject = [
            "pid": .integer(Int(report.pid)),
            "instance": report.instance.map { .string($0.identifier) } ?? .null,
            "whole": .bool(report.isWhole),
            "transactions": .array(report.transactions.map(json)),
            "differences": .array(
                report.differences.map { difference in
                    [
                        "kind": .string(difference.kind.rawValue), "patch": .string(difference.identifier),
                        "function": .string(difference.function),
                        "address": .string("0x" + String(difference.address, radix: 16)),
                        "message": .string(difference.sentence),
                    ]
                }),
        ]
        if let refusal = report.refusal { members.describe(refusal) }
        return .object(members)
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
    }
}

extension Outcome {
    /// Whether the process is as it was asked for (or would be).
    var isDone: Bool {
        switch self {
        case .done, .alreadyDone, .possible: true
        case .refused, .busy, .notYet, .failed: false
        }
    }

    /// The name in JSON.
    var name: String {
        switch self {
        case .done: "done"
        case .alreadyDone: "already-done"
        case .possible: "possible"
        case .refused: "refused"
        case .busy, .notYet: "busy"
        case .failed: "failed"
        }
    }
}

extension JSONObject {
    /// Says why, and what to do.
    fileprivate mutating func describe(_ refusal: Refusal) {
        self["reason"] = .string(refusal.reason.rawValue)
        self["message"] = .string(refusal.sentence)
        self["remedy"] = .string(refusal.remedy)
    }
}
