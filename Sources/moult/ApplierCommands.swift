//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ArgumentParser

/// Exit codes of the commands that write into processes, for their help.
private let changeExitCodes = """
    Exit codes: 0 done, 1 failed, 2 refused and nothing changed, 3 busy until the deadline and nothing \
    changed, 4 partly (k of n, listed).
    """

/// `moult apply`.
struct ApplyCommand: ParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "apply",
            abstract: "Put live patches into processes.",
            discussion: """
                All files are one transaction in each process: they switch together or not at all. Memory is \
                compared with what each file expects before anything is written, and read back afterwards.

                \(changeExitCodes)
                """)
    }

    @Argument(help: ArgumentHelp("Live patches.", valueName: "file"), completion: .file(extensions: ["moult"]))
    var files: [String]

    @OptionGroup var selection: SelectionOptions
    @OptionGroup var change: ChangeOptions
    @OptionGroup var explanation: ExplanationOptions
    @OptionGroup var format: FormatOptions

    func validate() throws { try selection.check(required: true) }

    func run() throws {
        var handOver = HandOver()
        selection.add(to: &handOver)
        change.add(to: &handOver)
        explanation.add(to: &handOver)
        format.add(to: &handOver)
        handOver.operands(files)
        try Sibling.applier.run("apply", handOver, format: format.format)
    }
}

/// `moult verify`.
struct VerifyCommand: ParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "verify",
            abstract: "Compare the memory of processes with what it must be.",
            discussion: """
                Finds applied live patches in the processes themselves and compares every byte that they own; \
                with files, or with an identifier, only these. Looks at every process that can be seen unless \
                --pid is given. Changes nothing.

                \(changeExitCodes)
                """)
    }

    @Argument(
        help: ArgumentHelp("Live patches that must be applied, or one identifier.", valueName: "file-or-id"),
        completion: .file(extensions: ["moult"]))
    var operands: [String] = []

    @OptionGroup var selection: SelectionOptions
    @OptionGroup var explanation: ExplanationOptions
    @OptionGroup var format: FormatOptions

    func validate() throws { try selection.check(required: false) }

    func run() throws {
        var handOver = HandOver()
        selection.add(to: &handOver, orAll: true)
        explanation.add(to: &handOver)
        format.add(to: &handOver)
        handOver.operands(operands)
        try Sibling.applier.run("verify", handOver, format: format.format)
    }
}

/// `moult undo`.
struct UndoCommand: ParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "undo",
            abstract: "Take a live patch out of processes.",
            discussion: """
                Restores the functions that were replaced, byte for byte. Needs no file: what must be restored \
                is kept in the process.

                \(changeExitCodes)
                """)
    }

    @Argument(help: ArgumentHelp("The live patch's identifier, as 'status' shows it.", valueName: "id"))
    var identifier: String

    @OptionGroup var selection: SelectionOptions
    @OptionGroup var change: ChangeOptions
    @OptionGroup var explanation: ExplanationOptions
    @OptionGroup var format: FormatOptions

    func validate() throws { try selection.check(required: true) }

    func run() throws {
        var handOver = HandOver()
        selection.add(to: &handOver)
        change.add(to: &handOver)
        explanation.add(to: &handOver)
        format.add(to: &handOver)
        handOver.operands([identifier])
        try Sibling.applier.run("undo", handOver, format: format.format)
    }
}
