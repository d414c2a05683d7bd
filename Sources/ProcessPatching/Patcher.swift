//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import CLinux
import PatchPlan
import ProcessControl
package import ProcessInspection

/// Applies live patches to running processes, takes them out, and compares.
///
/// Each call is one transaction in one process: all of its patches switch together or none does. Whatever moment the
/// tool is killed at, the process runs on, does what it did before or what it shall do, and the next call completes it.
///
/// Synchronous: call it from one thread, which the process's threads are traced by meanwhile.
package struct Patcher {
    let options: PatchingOptions
    let kernel: KernelLimits
    let sha256: Digester

    /// Makes a patcher.
    ///
    /// - Parameters:
    ///   - options: how.
    ///   - kernel: what this kernel allows.
    package init(options: PatchingOptions = PatchingOptions(), kernel: KernelLimits) {
        self.options = options
        self.kernel = kernel
        self.sha256 = .sha256
    }

    /// Applies patches to one process.
    ///
    /// - Parameters:
    ///   - files: the patches; each must fit an object of the process.
    ///   - instance: the process.
    package func apply(_ files: [PatchFile], to instance: ProcessInstance) -> PatchingReport {
        run(instance, direction: .apply) { (process, survey, objects) throws(PatchingError) in
            try prepare(files, process: &process, survey: survey, objects: objects)
        }
    }

    /// Takes the transaction out that a patch belongs to.
    ///
    /// - Parameters:
    ///   - identifier: name of one of its patches.
    ///   - instance: the process.
    package func undo(_ identifier: String, in instance: ProcessInstance) -> PatchingReport {
        run(instance, direction: .undo) { (process, survey, _) throws(PatchingError) in
            try prepareUndo(identifier, process: process.process, survey: survey)
        }
    }

    /// What is known before the stop.
    enum Preparation {
        /// To be switched.
        case ready(PreparedTransaction)
        /// Nothing to do; the transaction is as it was asked for.
        case already(FoundTransaction?)
        /// Nothing will be done (`--dry-run`); it would be possible.
        case possible
    }

    private func run(
        _ instance: ProcessInstance, direction: Direction,
        prepare: (inout ControlledProcess, ProcessSurvey, [LoadedObject]) throws(PatchingError) -> Preparation
    ) -> PatchingReport {
        var report = PatchingReport(pid: instance.pid, outcome: .done)
        report.instance = instance
        let deadline = Int64(clinux_monotonic()) + options.timeout
        var pause: Int64 = 1_000_000
        while true {
            var lastBusy: Outcome
            do throws(PatchingError) {
                try attempt(instance, direction: direction, report: &report, prepare: prepare)
                return report
            } catch {
                switch error {
                case .refused(let refusal):
                    report.outcome = .refused(refusal)
                    return report
                case .failed(let reason):
                    report.outcome = .failed(reason)
                    return report
                case .busy(let threads): lastBusy = .busy(threads)
                case .later(let refusal): lastBusy = .refused(refusal)
                }
            }
            let now = Int64(clinux_monotonic())
            if now >= deadline {
                report.outcome = lastBusy
                return report
            }
            _ = clinux_sleep(min(pause, deadline - now))
            pause = min(pause * 2, 50_000_000)
        }
    }

    private func attempt(
        _ instance: ProcessInstance, direction: Direction, report: inout PatchingReport,
        prepare: (inout ControlledProcess, ProcessSurvey, [LoadedObject]) throws(PatchingError) -> Preparation
    ) throws(PatchingError) {
        let pid = instance.pid
        let handle = try inspecting(pid) { () throws(InspectionError) in try ProcessHandle(instance) }
        if let reason = handle.patchability(under: kernel).reasons.first { throw PatchingError(reason, pid: pid) }
        let mappings = try inspecting(pid) { () throws(InspectionError) in try handle.mappings() }
        let survey = ProcessSurvey(handle, mappings: mappings, sha256: sha256)
        let objects = handle.loadedObjects(in: mappings)
        var process = ControlledProcess(handle, limits: options.limits)
        switch try prepare(&process, survey, objects) {
        case .possible:
            report.outcome = .possible
        case .already(let found):
            report.outcome = .alreadyDone
            report.transaction = found.map(TransactionReport.init)
        case .ready(let prepared):
            var rules = UnwindRules(process.process, objects: objects)
            for (memory, bytes) in survey.memories.values { rules.add(memory, bytes: bytes) }
            for (memory, bytes) in zip(prepared.members, prepared.contents) where survey.memories[memory.address] == nil
            {
                rules.add(memory, bytes: bytes)
            }
            let switcher = Switcher(prepared: prepared, direction: direction, rules: rules, sha256: sha256)
            defer {
                report.stops += 1
                report.longestStop = max(report.longestStop, process.lastWindow)
            }
            let result = try switcher.run(&process)
            report.threads = result.threads
            report.transaction = TransactionReport(result.found)
            report.outcome = .done
        }
    }
}
