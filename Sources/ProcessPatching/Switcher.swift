//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import PatchPlan
import ProcessControl
import ProcessInspection
import Unwinding

/// The stop: everything that happens while the threads of a process stand still.
struct Switcher {
    let prepared: PreparedTransaction
    let direction: Direction
    let rules: UnwindRules
    let sha256: Digester

    /// What one stop brought.
    struct Result {
        /// The transaction afterwards.
        var found: FoundTransaction
        /// How many threads stood still.
        var threads: Int
    }

    /// Stops the process, switches the transaction, lets it go.
    ///
    /// - Throws: `PatchingError`; but for `failed` nothing was changed, and in any case the process runs.
    func run(_ process: inout ControlledProcess) throws(PatchingError) -> Result {
        let pid = process.process.instance.pid
        try controlling(pid) { () throws(ControlError) in try process.stopAll() }
        do throws(PatchingError) {
            let result = try whileStopped(&process, pid: pid)
            process.resumeAll()
            return result
        } catch {
            process.resumeAll()
            throw error
        }
    }

    private func whileStopped(_ process: inout ControlledProcess, pid: Int32) throws(PatchingError) -> Result {
        let mappings = try inspecting(pid) { () throws(InspectionError) in try process.process.mappingsAsShown() }
        let survey = ProcessSurvey(onlyMappings: mappings)
        try prepared.check(survey)
        let windows = StackCheck.windows(of: process.threads, survey: survey)
        let ranges = prepared.ranges
        let bytes = process.process.read(ranges + windows)
        let found = try prepared.found(in: bytes)
        let plan = try planning { () throws(Refusal) in try SwitchPlan(found, direction: direction) }
        if plan.writes.isEmpty { return Result(found: found, threads: process.threads.count) }

        let check = StackCheck(
            guarded: GuardedRanges(found, direction: direction), tables: rules.tables, survey: survey)
        let busy = check.busy(
            process.threads, stacks: Array(bytes.dropFirst(ranges.count)), handle: process.process)
        guard busy.isEmpty else { throw .busy(busy) }

        do throws(ControlError) {
            for write in plan.writes { try process.write(write.after, at: write.address) }
        } catch {
            throw rollBack(&process, to: direction == .apply ? .undo : .apply, after: error, pid: pid)
        }
        let after = try prepared.found(in: process.process.read(ranges))
        let wanted = SwitchPlan.isComplete(after, direction: direction)
        guard wanted else {
            throw rollBack(
                &process, to: direction == .apply ? .undo : .apply,
                after: ControlError(.notWritten, "The memory was read back and found different."), pid: pid)
        }
        return Result(found: after, threads: process.threads.count)
    }

    /// Takes back what was written in this stop. No thread has run since, so nothing has to be checked again.
    private func rollBack(
        _ process: inout ControlledProcess, to direction: Direction, after error: ControlError, pid: Int32
    ) -> PatchingError {
        guard error.code != .exited else { return PatchingError(error, pid: pid) }
        do throws(PatchingError) {
            let found = try prepared.found(in: process.process.read(prepared.ranges))
            let plan = try planning { () throws(Refusal) in try SwitchPlan(found, direction: direction) }
            for write in plan.writes {
                try controlling(pid) { () throws(ControlError) in try process.write(write.after, at: write.address) }
            }
            return PatchingError(error, pid: pid)
        } catch {
            return .failed(
                "Process \(pid): a write failed and could not be taken back. The next apply or undo completes it.")
        }
    }
}
