//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import Commands
import LivePatch
import PatchPlan
import ProcessInspection
import ProcessObservation
import StrictJSON

/// `moult-observer`: looks at processes, changes nothing.
@main
enum ObserverMain {
    static func main() {
        let arguments = CommandFrame.arguments
        guard let command = arguments.first else {
            CommandFrame.usage("moult-observer", UsageError("say what to do: targets or status"))
        }
        let parsed = Result { () throws(UsageError) in
            try Arguments(Array(arguments.dropFirst()), flags: ["all", "explain"], options: ["pid", "format"])
        }
        switch command {
        case "targets": CommandFrame.run(command, parsed, targets)
        case "status": CommandFrame.run(command, parsed, status)
        default: CommandFrame.usage("moult-observer", UsageError("unknown command '\(command)'"))
        }
    }

    private static func targets(_ arguments: Arguments, _ format: OutputFormat) throws(CommandError) -> ExitCode {
        guard arguments.operands.isEmpty else { throw .usage(UsageError("targets takes no files")) }
        let selection = try selection(arguments)
        let observation = try observe(selection)
        let report = TargetsReport(observation, isExplaining: arguments.has("explain"))
        return show(report.json, report.lines, format) ? .done : .failed
    }

    private static func status(_ arguments: Arguments, _ format: OutputFormat) throws(CommandError) -> ExitCode {
        var wanted: [WantedPatch] = []
        for file in arguments.operands { wanted.append(try WantedPatch(reading: file)) }
        let selection = try selection(arguments)
        let observation = try observe(selection)
        let status = AppliedStatus(observation, wanted: wanted)
        let report = StatusReport(status, isExplaining: arguments.has("explain"))
        return show(report.json, report.lines, format) ? status.result.exitCode : .failed
    }

    private static func selection(_ arguments: Arguments) throws(CommandError) -> ProcessSelection {
        do { return try arguments.selection() ?? .all } catch { throw .usage(error) }
    }

    private static func observe(_ selection: ProcessSelection) throws(CommandError) -> Observation {
        let observer = Observer(limits: KernelLimits.current(), sha256: .sha256)
        let observation: Observation
        do throws(InspectionError) { observation = try observer.observe(selection) } catch {
            throw .failure(
                Failure(
                    reason: Refusal.Reason.unsupportedProcess.rawValue, message: error.reason,
                    remedy: "Check that /proc is mounted and can be read."), .failed)
        }
        // If none of the processes that were named could be looked at, nothing can be answered.
        if case .processes = selection, observation.processes.isEmpty, let first = observation.unobserved.first {
            let refusal = first.refusal
            throw .failure(
                Failure(reason: refusal.reason.rawValue, message: refusal.sentence, remedy: refusal.remedy), .failed)
        }
        return observation
    }

    /// Writes a result; false if not all of it could be written.
    private static func show(_ document: JSONValue, _ lines: [String], _ format: OutputFormat) -> Bool {
        switch format {
        case .json: StandardStream.output.write(line: document.canonicalText)
        case .text: lines.allSatisfy { StandardStream.output.write(line: $0.printable) }
        }
    }
}

extension Digester {
    /// SHA-256 as `Approval` computes it.
    fileprivate static var sha256: Digester { Digester { SHA256.digest(of: unsafe $0.span.bytes).bytes } }
}
