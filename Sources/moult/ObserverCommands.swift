//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ArgumentParser

/// `moult targets`.
struct TargetsCommand: ParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "targets",
            abstract: "List processes and the builds they map.",
            discussion: """
                For each process: the builds with their build-ids, whether the file on disk is still the one \
                that is mapped, what is patched, and whether it can be patched or why not. Looks at every \
                process that can be seen unless --pid is given. Changes nothing.
                """)
    }

    @OptionGroup var selection: SelectionOptions
    @OptionGroup var explanation: ExplanationOptions
    @OptionGroup var format: FormatOptions

    func validate() throws { try selection.check(required: false) }

    func run() throws {
        var handOver = HandOver()
        selection.add(to: &handOver)
        explanation.add(to: &handOver)
        format.add(to: &handOver)
        try Sibling.observer.run("targets", handOver, format: format.format)
    }
}

/// `moult status`.
struct StatusCommand: ParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "status",
            abstract: "Say what is applied in each process.",
            discussion: """
                Reads it from the processes themselves and compares it with the given live patches. Looks at \
                every process that can be seen unless --pid is given. Changes nothing.

                Exit codes: 0 newest applied, 10 nothing applied, 11 a newer one waiting, 12 not supported, \
                13 partly (k of n, listed).
                """)
    }

    @Argument(
        help: ArgumentHelp("Live patches that ought to be applied.", valueName: "file"),
        completion: .file(extensions: ["moult"]))
    var files: [String] = []

    @OptionGroup var selection: SelectionOptions
    @OptionGroup var explanation: ExplanationOptions
    @OptionGroup var format: FormatOptions

    func validate() throws { try selection.check(required: false) }

    func run() throws {
        var handOver = HandOver()
        selection.add(to: &handOver)
        explanation.add(to: &handOver)
        format.add(to: &handOver)
        handOver.operands(files)
        try Sibling.observer.run("status", handOver, format: format.format)
    }
}
