//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import Commands
import LivePatch
import PatchPlan
package import ProcessInspection

/// What is applied, held against what ought to be. Decided from an observation alone, so every case can be tested.
package struct AppliedStatus: Sendable, Equatable {
    /// The answer in one word.
    package enum Result: String, Sendable, CaseIterable {
        /// Every given patch is applied in every process that maps its target; without files, every patch that
        /// was found is.
        case newestApplied = "newest-applied"
        /// No patch is applied anywhere.
        case nothingApplied = "nothing-applied"
        /// Something is applied, and a given patch that fits is not.
        case newerWaiting = "newer-waiting"
        /// No process maps a target of a given patch.
        case notSupported = "not-supported"
        /// In k of n processes, or half-way, or some could not be looked at.
        case partly

        /// The exit code for it.
        package var exitCode: ExitCode {
            switch self {
            case .newestApplied: .done
            case .nothingApplied: .nothingApplied
            case .newerWaiting: .newerWaiting
            case .notSupported: .notSupported
            case .partly: .partlyApplied
            }
        }
    }

    /// One patch over all processes that map its target.
    package struct Line: Sendable, Equatable {
        /// The patch's name.
        package var identifier: String
        /// SHA-256 of its file.
        package var digest: [UInt8]
        /// The target's name and build-id.
        package var targetName: String
        /// The target's build-id.
        package var buildID: [UInt8]
        /// What is fixed.
        package var cves: [String]
        /// The file it was read from; nil where it was only found in a process.
        package var file: String?
        /// The processes that map the target and have it, by pid.
        package var applied: [ProcessInstance] = []
        /// The processes that map the target and do not have it.
        package var missing: [ProcessInstance] = []
        /// Where it is neither in nor out: half-way, or altered by someone else.
        package var unsettled: [ProcessInstance] = []

        /// The n of k of n.
        package var count: Int { applied.count + missing.count + unsettled.count }
    }

    /// The answer.
    package var result: Result
    /// Given patches in the order given, then those found, by target and identifier.
    package var lines: [Line]
    /// The processes that map a target of any line.
    package var processes: [ObservedProcess]
    /// Processes that could not be looked at: nothing is said of them, so not all can be said to be patched.
    package var unobserved: [UnobservedProcess]

    /// Decides.
    /// - Parameters:
    ///   - observation: What was seen.
    ///   - wanted: What ought to be applied; may be empty.
    package init(_ observation: Observation, wanted: [WantedPatch]) {
        let processes = observation.processes.filter { !$0.isKernelThread }
        var lines = Self.lines(processes, wanted: wanted)
        for index in lines.indices {
            for process in processes { lines[index].count(process) }
        }
        self.lines = lines
        let buildIDs = Set(lines.map(\.buildID))
        self.processes = processes.filter { process in
            process.objects.contains { object in object.buildID.map(buildIDs.contains) ?? false }
        }
        unobserved = observation.unobserved
        result = Self.result(lines, hasWanted: !wanted.isEmpty, isWhole: observation.unobserved.isEmpty)
    }

    /// One line per given patch, and one per patch that was found and not given.
    private static func lines(_ processes: [ObservedProcess], wanted: [WantedPatch]) -> [Line] {
        var lines: [Line] = []
        for patch in wanted where !lines.contains(where: { $0.digest == patch.digest }) {
            lines.append(
                Line(
                    identifier: patch.identifier, digest: patch.digest, targetName: patch.target.name,
                    buildID: patch.target.buildID, cves: patch.cves, file: patch.file))
        }
        var found: [Line] = []
        for patch in processes.flatMap(\.patches) where patch.isPresent {
            let memory = patch.memory
            let isKnown = (lines + found).contains { $0.digest == memory.patchDigest }
            guard !isKnown else { continue }
            found.append(
                Line(
                    identifier: memory.labels.identifier, digest: memory.patchDigest,
                    targetName: memory.labels.targetName, buildID: memory.buildID, cves: memory.labels.cves, file: nil))
        }
        return lines + found.sorted { ($0.targetName, $0.identifier) < ($1.targetName, $1.identifier) }
    }

    private static func result(_ lines: [Line], hasWanted: Bool, isWhole: Bool) -> Result {
        let wanted = lines.filter { $0.file != nil && $0.count > 0 }
        let judged = hasWanted ? wanted : lines
        if hasWanted, wanted.isEmpty { return .notSupported }
        let isAnyApplied = lines.contains { !$0.applied.isEmpty || !$0.unsettled.isEmpty }
        if judged.contains(where: { !$0.unsettled.isEmpty || !$0.applied.isEmpty && !$0.missing.isEmpty }) {
            return .partly
        }
        if judged.contains(where: { $0.applied.isEmpty }) || judged.isEmpty {
            return isAnyApplied ? .newerWaiting : .nothingApplied
        }
        return isWhole ? .newestApplied : .partly
    }
}

extension AppliedStatus.Line {
    /// Puts a process where it belongs, if it maps the target. Where the target is loaded more than once, all
    /// of them count: a process is patched whole or not at all.
    fileprivate mutating func count(_ process: ObservedProcess) {
        let states = process.objects(buildID: buildID).map { state(at: $0, in: process) }
        if states.isEmpty { return }
        if states.allSatisfy({ $0 == .applied }) {
            applied.append(process.instance)
        } else if states.allSatisfy({ $0 == nil }) {
            missing.append(process.instance)
        } else {
            unsettled.append(process.instance)
        }
    }

    /// How far the patch is in one object of a process; nil if it is not there. Patch memory that claims a file's
    /// digest and names another build or other places than this object's is not believed.
    private func state(at object: LoadedObject, in process: ObservedProcess) -> TransactionState? {
        process.patches.first { patch in
            patch.isPresent && patch.memory.patchDigest == digest && patch.memory.buildID == buildID
                && patch.memory.loadBias == object.loadBias
                && patch.memory.entries.allSatisfy { object.range.contains($0.address) }
                && patch.memory.fixUps.allSatisfy { object.range.contains($0.address) }
        }?.state
    }
}
