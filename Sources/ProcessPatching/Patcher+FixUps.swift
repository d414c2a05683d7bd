//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import PatchPlan
import ProcessInspection

extension Patcher {
    /// Compares the data that patches set with what must be there, before anything is mapped or written.
    ///
    /// - Throws: `PatchingError`: `fixupMismatch` with name, address, what is expected and what is found;
    ///   `replacedByOtherPatch` where another patch in use sets the same datum.
    func checkFixUps(
        of requests: [MemberRequest], objects: [LoadedObject], process: borrowing ProcessHandle, survey: ProcessSurvey
    ) throws(PatchingError) {
        let placed = requests.flatMap { request in request.unplacedFixUps.map { (request, $0) } }
        let contents = process.read(placed.map { $1.range.lower..<$1.range.upper })
        for ((request, fixUp), bytes) in zip(placed, contents) {
            for other in survey.transactions where other.state != .prepared && other.state != .undone {
                let owner = other.members.first { $0.fixUps.contains { $0.range.overlaps(fixUp.range) } }
                guard let owner else { continue }
                throw .refused(
                    Refusal(
                        .replacedByOtherPatch, "\(fixUp.name) is set by \(owner.labels.identifier) already.",
                        remedy: "Undo \(owner.labels.identifier) first."))
            }
            let object = objects.first {
                $0.loadBias == request.loadBias && $0.buildID == request.patch.target.buildID
            }
            // A datum of the target: in its own memory, and not among its code.
            guard let object, let mapping = survey.mapping(at: fixUp.address), mapping.mayHoldData,
                object.range.contains(fixUp.address), fixUp.range.upper <= object.range.upperBound
            else { throw .refused(fixUp.mismatch([], isPlaced: false)) }
            guard fixUp.state(of: bytes) == .from else { throw .refused(fixUp.mismatch(bytes, isPlaced: false)) }
        }
    }
}

extension Mapping {
    /// Whether a datum of a target can lie there: read, private to the process, and no code.
    var mayHoldData: Bool { isReadable && !isExecutable && !isShared }
}
