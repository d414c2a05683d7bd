//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import BuildReporting
import Commands
import StrictJSON

/// `moult-build`: makes live patches and shows what is in them.
@main
enum BuilderMain {
    static func main() async {
        let arguments = CommandFrame.arguments
        guard let command = arguments.first else {
            CommandFrame.usage("moult-build", UsageError("say what to do: build or inspect"))
        }
        let rest = Array(arguments.dropFirst())
        switch command {
        case "build":
            let parsed = Result { () throws(UsageError) in
                try Arguments(rest, flags: ["dry-run", "explain", "report"], options: ["output", "format"])
            }
            await CommandFrame.run(command, parsed, build)
        case "inspect":
            let parsed = Result { () throws(UsageError) in
                try Arguments(rest, flags: [], options: ["format"])
            }
            CommandFrame.run(command, parsed, inspect)
        default: CommandFrame.usage("moult-build", UsageError("unknown command '\(command)'"))
        }
    }

    private static func build(_ arguments: Arguments, _ format: OutputFormat) async throws(CommandError) -> ExitCode {
        guard !arguments.operands.isEmpty else { throw .usage(UsageError("name a recipe")) }
        let isReporting = arguments.has("report")
        let job = BuildJob(
            output: arguments.has("dry-run") ? nil : arguments.value(of: "output") ?? ".", isReporting: isReporting)
        var results: [BuildResult] = []
        for recipe in arguments.operands { results += await job.build(recipe) }
        let report = BuildReport(results, isExplaining: arguments.has("explain"))
        guard isReporting else { return show(report.json, report.lines, format) ? report.exitCode : .failed }
        let document = ReportDocument(results).json
        if let directory = job.output {
            try ReportFiles.write(page: ReportPage(results).html, document: document.canonicalText, to: directory)
        }
        return show(document, ReportTable(results).lines, format) ? report.exitCode : .failed
    }

    private static func inspect(_ arguments: Arguments, _ format: OutputFormat) throws(CommandError) -> ExitCode {
        guard arguments.operands.count == 1, let path = arguments.operands.first else {
            throw .usage(UsageError("name one live patch"))
        }
        let file = try InspectedFile(path)
        let report = InspectReport(file)
        return show(report.json, report.lines, format) ? .done : .failed
    }

    /// Writes a result; false if not all of it could be written.
    private static func show(_ document: JSONValue, _ lines: [String], _ format: OutputFormat) -> Bool {
        switch format {
        case .json: StandardStream.output.write(line: document.canonicalText)
        case .text: lines.allSatisfy { StandardStream.output.write(line: $0.printable) }
        }
    }
}
