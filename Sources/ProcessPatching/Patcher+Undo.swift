//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import MachineCode
import PatchPlan
import ProcessInspection

extension Patcher {
    /// Finds the transaction that is to be taken out, and compares its memory with what it must be.
    func prepareUndo(
        _ identifier: String, process: borrowing ProcessHandle, survey: ProcessSurvey
    ) throws(PatchingError) -> Preparation {
        let named = survey.transactions.filter { $0.members.contains { $0.labels.identifier == identifier } }
        guard let found = named.first(where: { $0.state != .prepared && $0.state != .undone }) else {
            if let found = named.first { return .already(found) }
            if let invalid = survey.invalid.first {
                throw .refused(
                    Refusal(
                        .patchMemoryInvalid,
                        "The patch memory at 0x\(String(invalid.address, radix: 16)) cannot be read: "
                            + invalid.error.reason,
                        remedy: "Restart the process."))
            }
            throw .refused(
                Refusal(
                    .notApplied, "\(identifier) is not applied in process \(process.instance.pid).",
                    remedy: "`moult status` shows what is."))
        }
        let own = Set(found.members.map(\.labels.identifier))
        for other in survey.transactions where other.state.isNew && other.members != found.members {
            for member in other.members where member.labels.requires.contains(where: { own.contains($0) }) {
                throw .refused(
                    Refusal(
                        .requiredByOther, "\(member.labels.identifier) needs \(identifier).",
                        remedy: "Undo \(member.labels.identifier) first."))
            }
        }
        _ = try planning { () throws(Refusal) in try SwitchPlan(found, direction: .undo) }
        let contents = found.members.map { survey.memories[$0.address]?.bytes ?? [] }
        let functions = process.read(found.entries.map { $0.address..<($0.address &+ UInt64($0.size)) })
        let differences = found.differences(
            images: zip(found.members, contents).map { Array($1.dropFirst(Int($0.headerSize))) }, functions: functions,
            sha256: sha256)
        if let difference = differences.first(where: { $0.kind != .incomplete }) {
            throw .refused(
                Refusal(
                    .alteredByOthers, difference.sentence,
                    remedy: "Find out what else changes this process; restart it."))
        }
        if options.isDryRun { return .possible }
        return .ready(try prepared(found.members, contents: contents, functions: functions, survey: survey))
    }
}
