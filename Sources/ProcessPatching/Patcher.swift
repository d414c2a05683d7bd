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
        run(instance, direction: .apply) { (process, survey, objects, mapped) throws(PatchingError) in
            try prepare(files, process: &process, survey: survey, objects: objects, mapped: &mapped)
        }
    }

    /// Takes the transaction out that a patch belongs to.
    ///
    /// - Parameters:
    ///   - identifier: name of one of its patches.
    ///   - instance: the process.
    package func undo(_ identifier: String, in instance: ProcessInstance) -> PatchingReport {
        run(instance, direction: .undo) { (process, survey, _, _) throws(PatchingError) in
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
        prepare: (inout ControlledProcess, ProcessSurvey, [LoadedObject], inout [AddressRange]) throws(PatchingError) ->
            Preparation
    ) -> PatchingReport {
        var report = PatchingReport(pid: instance.pid, outcome: .done)
        report.instance = instance
        var mapped: [AddressRange] = []
        tryRepeatedly(instance, direction: direction, report: &report, mapped: &mapped, prepare: prepare)
        switch report.outcome {
        case .refused, .busy, .notYet:
            // Nothing was changed, so nothing shall be left.
            if !mapped.isEmpty { unmap(mapped, in: instance) }
        case .done, .alreadyDone, .possible, .failed: break
        }
        return report
    }

    private func tryRepeatedly(
        _ instance: ProcessInstance, direction: Direction, report: inout PatchingReport, mapped: inout [AddressRange],
        prepare: (inout ControlledProcess, ProcessSurvey, [LoadedObject], inout [AddressRange]) throws(PatchingError) ->
            Preparation
    ) {
        let deadline = Int64(clinux_monotonic()) + options.timeout
        var pause: Int64 = 1_000_000
        while true {
            var lastBusy: Outcome
            do throws(PatchingError) {
                try attempt(instance, direction: direction, report: &report, mapped: &mapped, prepare: prepare)
                return
            } catch {
                if case .busy = error {
                } else if hasEnded(instance) {
                    report.outcome = .refused(
                        Refusal(
                            .processEnded, "Process \(instance.pid) ended meanwhile.",
                            remedy: "Nothing is left to do: the process is gone."))
                    return
                }
                switch error {
                case .refused(let refusal):
                    report.outcome = .refused(refusal)
                    return
                case .failed(let reason):
                    report.outcome = .failed(reason)
                    return
                case .busy(let threads): lastBusy = .busy(threads)
                case .later(let refusal): lastBusy = .notYet(refusal)
                }
            }
            let now = Int64(clinux_monotonic())
            if now >= deadline {
                report.outcome = lastBusy
                return
            }
            _ = clinux_sleep(min(pause, deadline - now))
            pause = min(pause * 2, 50_000_000)
        }
    }

    private func attempt(
        _ instance: ProcessInstance, direction: Direction, report: inout PatchingReport, mapped: inout [AddressRange],
        prepare: (inout ControlledProcess, ProcessSurvey, [LoadedObject], inout [AddressRange]) throws(PatchingError) ->
            Preparation
    ) throws(PatchingError) {
        let pid = instance.pid
        let handle = try hold(instance)
        let mappings = try inspecting(pid) { () throws(InspectionError) in try handle.mappingsAsShown() }
        let objects = handle.loadedObjects(in: mappings)
        let survey = ProcessSurvey(handle, mappings: mappings, objects: objects, sha256: sha256)
        var process = ControlledProcess(handle, limits: options.limits)
        switch try prepare(&process, survey, objects, &mapped) {
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

    /// Holds the process, and keeps other runs of the tool away from it until the handle ends: two that think of the
    /// same process at once would at best disturb each other. The lock is one on `/proc/PID/mem`, which only those can
    /// open who may change the process.
    private func hold(_ instance: ProcessInstance) throws(PatchingError) -> ProcessHandle {
        let pid = instance.pid
        let handle = try inspecting(pid) { () throws(InspectionError) in try ProcessHandle(instance) }
        if let reason = handle.patchability(under: kernel).reasons.first { throw PatchingError(reason, pid: pid) }
        guard clinux_lock(handle.memory) >= 0 else {
            throw .later(
                Refusal(.beingTraced, "Another run of the tool works on process \(pid).", remedy: "Try again later."))
        }
        return handle
    }

    /// Whether the process is gone or on its way out: whatever was found wrong with it then does not matter.
    ///
    /// A process that was killed looks strange until its last thread is gone: without memory, like a kernel thread,
    /// unreadable. One that looks healthy three times in a row is not ending; one that does not gets a moment to end.
    private func hasEnded(_ instance: ProcessInstance) -> Bool {
        var healthy = 0
        for _ in 0..<30 {
            guard let handle = try? ProcessHandle(pid: instance.pid), let status = try? handle.status() else {
                return true
            }
            let now = handle.instance
            if now.startTime != instance.startTime { return false }
            if now.executable != instance.executable, now.executable.inode != 0 { return false }
            let isDead = status.state == UInt8(ascii: "Z") || status.state == UInt8(ascii: "X")
            if isDead, let threads = try? handle.threads(),
                threads.allSatisfy({ $0.state == UInt8(ascii: "Z") || $0.state == UInt8(ascii: "X") })
            {
                return true
            }
            healthy = isDead || status.isKernelThread ? 0 : healthy + 1
            if healthy == 3 { return false }
            _ = clinux_sleep(1_000_000)
        }
        return false
    }

    /// Gives back what this call mapped and did not use. Only where no thread can ever have been in it: the history
    /// word is written before the first jump.
    private func unmap(_ ranges: [AddressRange], in instance: ProcessInstance) {
        guard let handle = try? hold(instance), let mappings = try? handle.mappingsAsShown() else { return }
        let survey = ProcessSurvey(
            handle, mappings: mappings, objects: handle.loadedObjects(in: mappings), sha256: sha256)
        var process = ControlledProcess(handle, limits: options.limits)
        for range in ranges {
            let isUntouched: Bool
            if let transaction = survey.transaction(containing: range.lower) {
                isUntouched = transaction.state == .prepared
            } else {
                isUntouched = survey.memories[range.lower] != nil || survey.unfinished[range.lower] != nil
            }
            guard isUntouched, let mapping = survey.mapping(at: range.lower),
                mapping.range.lowerBound == range.lower, mapping.range.upperBound == range.upper
            else { continue }
            try? process.unmap(range.lower..<range.upper)
        }
    }
}
