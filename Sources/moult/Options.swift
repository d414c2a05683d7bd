//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ArgumentParser
import Commands

/// How the result is written.
enum Format: String, ExpressibleByArgument, CaseIterable {
    case text
    case json

    /// The same in the words of the shared room.
    var output: OutputFormat { self == .json ? .json : .text }
}

/// `--format`, which every command has.
struct FormatOptions: ParsableArguments {
    @Option(help: "How to write the result: for people, or as one JSON document.")
    var format: Format = .text

    func add(to handOver: inout HandOver) {
        handOver.option("format", format.rawValue)
    }
}

/// `--pid` and `--all`.
struct SelectionOptions: ParsableArguments {
    @Option(
        name: .customLong("pid"),
        help: ArgumentHelp(
            "A process, by its pid or by the instance that 'targets' prints; may be given several times.",
            valueName: "pid"))
    var processes: [String] = []

    @Flag(help: "Every process that can be seen.")
    var all = false

    /// Hands it over.
    /// - Parameter isAllByDefault: Whether naming none means all.
    func add(to handOver: inout HandOver, orAll isAllByDefault: Bool = false) {
        for process in processes { handOver.option("pid", process) }
        handOver.flag("all", all || isAllByDefault && processes.isEmpty)
    }

    /// Checks what was given.
    /// - Parameter required: Whether a command that writes into processes must be told which.
    func check(required: Bool) throws {
        do {
            var arguments = processes.map { "--pid=\($0)" }
            if all { arguments.append("--all") }
            let selection = try Arguments(arguments, flags: ["all"], options: ["pid"]).selection()
            if required, selection == nil { throw UsageError("say which processes: --pid PID, or --all") }
        } catch let error as UsageError {
            throw ValidationError(error.reason)
        }
    }
}

/// `--explain`.
struct ExplanationOptions: ParsableArguments {
    @Flag(help: "Say at length why something was refused: what was expected, what was found, what to do.")
    var explain = false

    func add(to handOver: inout HandOver) {
        handOver.flag("explain", explain)
    }
}

/// `--timeout` and `--dry-run` of commands that write into processes.
struct ChangeOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "How long to look for a safe moment, in each process: seconds, or a number with ms, s or m.",
            valueName: "duration"))
    var timeout: String?

    @Flag(help: "Check everything, change nothing.")
    var dryRun = false

    func add(to handOver: inout HandOver) {
        handOver.option("timeout", timeout)
        handOver.flag("dry-run", dryRun)
    }

    func validate() throws {
        guard let timeout else { return }
        do {
            _ = try Arguments.milliseconds(timeout)
        } catch {
            throw ValidationError(error.reason)
        }
    }
}
