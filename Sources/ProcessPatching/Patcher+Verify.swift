//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import PatchPlan
package import ProcessInspection

extension Patcher {
    /// What is applied, and was, in a process: read only.
    package func status(of instance: ProcessInstance) -> VerificationReport {
        examine(instance) { (_, survey, report) in
            report.transactions = survey.transactions.map(TransactionReport.init)
        }
    }

    /// Compares transactions with what must be in memory.
    ///
    /// - Parameters:
    ///   - identifier: name of a patch; nil for everything that is applied.
    ///   - instance: the process.
    package func verify(_ identifier: String?, in instance: ProcessInstance) -> VerificationReport {
        examine(instance) { (handle, survey, report) in
            let chosen = survey.transactions.filter { found in
                guard let identifier else { return !found.state.isSettled || found.state == .applied }
                return found.members.contains { $0.labels.identifier == identifier }
            }
            compare(chosen, handle: handle, survey: survey, report: &report)
            for found in chosen where found.state == .prepared || found.state == .undone {
                report.differences.append(notApplied(found.members.first, identifier ?? ""))
            }
            if let identifier, chosen.isEmpty { report.differences.append(notApplied(nil, identifier)) }
        }
    }

    /// Compares a process with patch files: all of them must be applied, byte for byte.
    package func verify(_ files: [PatchFile], in instance: ProcessInstance) -> VerificationReport {
        examine(instance) { (handle, survey, report) in
            var chosen: [FoundTransaction] = []
            for file in files {
                let found = survey.transactions.first { transaction in
                    transaction.state == .applied && transaction.members.contains { $0.patchDigest == file.digest }
                }
                guard let found else {
                    let half = survey.transactions.first { transaction in
                        transaction.members.contains { $0.patchDigest == file.digest }
                    }
                    if let half, !half.state.isSettled {
                        if !chosen.contains(half) { chosen.append(half) }
                    } else {
                        report.differences.append(notApplied(half?.members.first, file.patch.identifier))
                    }
                    continue
                }
                if !chosen.contains(found) { chosen.append(found) }
                check(file, found: found, survey: survey, report: &report)
            }
            compare(chosen, handle: handle, survey: survey, report: &report)
        }
    }

    /// The patch memory must be what this file makes of it at this place.
    private func check(
        _ file: PatchFile, found: FoundTransaction, survey: ProcessSurvey, report: inout VerificationReport
    ) {
        for member in found.members where member.patchDigest == file.digest {
            let request = MemberRequest(patch: file.patch, digest: file.digest, loadBias: member.loadBias)
            let content = try? PatchMemory.content(
                of: request, at: member.address, members: member.members, verdict: member.verdict,
                transaction: member.transaction, sha256: sha256)
            if content?.memory != member {
                report.differences.append(
                    Difference(
                        .otherPatch, identifier: file.patch.identifier, function: "", address: member.address,
                        "The patch memory is not what the file makes of it."))
            }
        }
    }

    private func notApplied(_ member: PatchMemory?, _ identifier: String) -> Difference {
        Difference(
            .notApplied, identifier: member?.labels.identifier ?? identifier, function: "",
            address: member?.address ?? 0, "\(member?.labels.identifier ?? identifier) is not applied.")
    }

    private func compare(
        _ chosen: [FoundTransaction], handle: borrowing ProcessHandle, survey: ProcessSurvey,
        report: inout VerificationReport
    ) {
        for found in chosen {
            report.transactions.append(TransactionReport(found))
            let functions = handle.read(found.entries.map { $0.address..<($0.address &+ UInt64($0.size)) })
            let images = found.members.map { member in
                Array((survey.memories[member.address]?.bytes ?? []).dropFirst(Int(member.headerSize)))
            }
            report.differences += found.differences(images: images, functions: functions, sha256: sha256)
        }
        for invalid in survey.invalid {
            report.differences.append(
                Difference(
                    .memoryMissing, identifier: "", function: "", address: invalid.address,
                    "A patch memory cannot be read: \(invalid.error.reason)"))
        }
    }

    private func examine(
        _ instance: ProcessInstance, _ body: (borrowing ProcessHandle, ProcessSurvey, inout VerificationReport) -> Void
    ) -> VerificationReport {
        var report = VerificationReport(pid: instance.pid)
        report.instance = instance
        do throws(InspectionError) {
            let handle = try ProcessHandle(instance)
            let mappings = try handle.mappingsAsShown()
            let survey = ProcessSurvey(
                handle, mappings: mappings, objects: handle.loadedObjects(in: mappings), sha256: sha256)
            body(handle, survey, &report)
        } catch {
            if case .refused(let refusal) = PatchingError(error, pid: instance.pid) { report.refusal = refusal }
        }
        return report
    }
}
