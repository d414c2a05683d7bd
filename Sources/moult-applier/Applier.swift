//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Commands
import Glibc
import LivePatch
import PatchPlan
import ProcessControl
import ProcessInspection
import ProcessPatching

/// `moult-applier`: argument parsing and wiring, nothing else. It is the one program that changes other processes.
@main
enum Applier {
    static let usage = """
        usage: moult-applier apply FILE… (--pid N … | --all) [options]
               moult-applier undo ID (--pid N … | --all) [options]
               moult-applier verify [FILE… | ID] (--pid N … | --all) [options]

        options: --dry-run  --timeout SECONDS  --format text|json  --explain
        """

    static func main() {
        exit(run(Array(CommandLine.arguments.dropFirst())).rawValue)
    }

    static func run(_ words: [String]) -> ExitCode {
        guard let command = words.first else {
            StandardStream.error.write(line: usage)
            return .usage
        }
        if command == "--help" || command == "help" {
            StandardStream.output.write(line: usage)
            return .done
        }
        if command == "--version" {
            StandardStream.output.write(line: Release.version)
            return .done
        }
        do throws(UsageError) {
            let arguments = try Arguments(
                Array(words.dropFirst()), flags: ["all", "dry-run", "explain"], options: ["pid", "timeout", "format"])
            switch command {
            case "apply": return try apply(arguments)
            case "undo": return try undo(arguments)
            case "verify": return try verify(arguments)
            default: throw UsageError("unknown command '\(command)'")
            }
        } catch {
            StandardStream.error.write(line: "moult-applier: \(error.reason.printable)")
            StandardStream.error.write(line: usage)
            return .usage
        }
    }

    // MARK: Commands

    private static func apply(_ arguments: Arguments) throws(UsageError) -> ExitCode {
        let output = try Output("apply", arguments)
        guard !arguments.operands.isEmpty else { throw UsageError("apply needs at least one patch file") }
        let patcher = try patcher(arguments)
        let named = try Selection.named(arguments)
        guard named != nil || arguments.has("all") else { throw UsageError("name processes by --pid, or --all") }
        let files: [PatchFile]
        do throws(Refusal) {
            files = try readFiles(arguments.operands)
        } catch {
            return output.fail(error)
        }
        let chosen =
            named
            ?? Selection.all(mapping: Set(files.map(\.patch.target.buildID))).map { .success($0) }
        return output.write(patching: chosen, files: files) { patcher.apply(files, to: $0) }
    }

    private static func undo(_ arguments: Arguments) throws(UsageError) -> ExitCode {
        let output = try Output("undo", arguments)
        guard arguments.operands.count == 1, let identifier = arguments.operands.first else {
            throw UsageError("undo needs the name of one patch")
        }
        let patcher = try patcher(arguments)
        let named = try Selection.named(arguments)
        guard named != nil || arguments.has("all") else { throw UsageError("name processes by --pid, or --all") }
        let chosen =
            named
            ?? Selection.all { handle in
                let report = patcher.status(of: handle.instance)
                return report.transactions.contains { transaction in
                    transaction.state != .prepared && transaction.state != .undone
                        && transaction.patches.contains { $0.identifier == identifier }
                }
            }.map { .success($0) }
        return output.write(patching: chosen, files: []) { patcher.undo(identifier, in: $0) }
    }

    private static func verify(_ arguments: Arguments) throws(UsageError) -> ExitCode {
        let output = try Output("verify", arguments)
        let patcher = try patcher(arguments)
        let named = try Selection.named(arguments)
        guard named != nil || arguments.has("all") else { throw UsageError("name processes by --pid, or --all") }
        // One operand that is no file is the name of a patch.
        if arguments.operands.count <= 1, arguments.operands.first.map({ !isFile($0) }) ?? true {
            let identifier = arguments.operands.first
            let chosen =
                named
                ?? Selection.all { handle in
                    patcher.status(of: handle.instance).transactions.contains { transaction in
                        identifier == nil || transaction.patches.contains { $0.identifier == identifier }
                    }
                }.map { .success($0) }
            return output.write(verifying: chosen) { patcher.verify(identifier, in: $0) }
        }
        let files: [PatchFile]
        do throws(Refusal) {
            files = try readFiles(arguments.operands)
        } catch {
            return output.fail(error)
        }
        let chosen =
            named
            ?? Selection.all(mapping: Set(files.map(\.patch.target.buildID))).map { .success($0) }
        return output.write(verifying: chosen) { patcher.verify(files, in: $0) }
    }

    // MARK: Parts

    private static func patcher(_ arguments: Arguments) throws(UsageError) -> Patcher {
        var options = PatchingOptions()
        if let milliseconds = try arguments.timeoutMilliseconds() { options.timeout = Int64(milliseconds) * 1_000_000 }
        options.isDryRun = arguments.has("dry-run")
        return Patcher(options: options, kernel: .current())
    }

    private static func readFiles(_ paths: [String]) throws(Refusal) -> [PatchFile] {
        var files: [PatchFile] = []
        for path in paths { files.append(try PatchFile(reading: path)) }
        return files
    }

    private static func isFile(_ path: String) -> Bool {
        unsafe access(path, F_OK) == 0
    }
}
