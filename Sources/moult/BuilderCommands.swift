//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ArgumentParser

/// `moult build`.
struct BuildCommand: ParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "build",
            abstract: "Make a live patch from a fix and a distribution's own binary.",
            discussion: """
                Fetches sources and binaries, rebuilds the affected objects, compares them and judges the \
                change. Only what is plainly safe becomes a file; anything else is refused with reasons.
                """)
    }

    @Argument(
        help: ArgumentHelp("What to fix and where: a YAML file.", valueName: "recipe"),
        completion: .file(extensions: ["yaml"]))
    var recipes: [String]

    @Flag(help: "Judge, write no file.")
    var dryRun = false

    @Flag(help: "Show a table; write report.html and report.json beside the live patches.")
    var report = false

    @Option(
        help: ArgumentHelp("Where the live patches are written.", valueName: "directory"), completion: .directory)
    var output = "."

    @OptionGroup var explanation: ExplanationOptions
    @OptionGroup var format: FormatOptions

    func run() throws {
        var handOver = HandOver()
        handOver.flag("dry-run", dryRun)
        handOver.flag("report", report)
        handOver.option("output", output)
        explanation.add(to: &handOver)
        format.add(to: &handOver)
        handOver.operands(recipes)
        try Sibling.builder.run("build", handOver, format: format.format)
    }
}

/// `moult inspect`.
struct InspectCommand: ParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "inspect",
            abstract: "Show what a live patch holds.",
            discussion: "Reads the file only: its target, its functions, its verdict and where it comes from.")
    }

    @Argument(help: ArgumentHelp("A live patch.", valueName: "file"), completion: .file(extensions: ["moult"]))
    var file: String

    @OptionGroup var format: FormatOptions

    func run() throws {
        var handOver = HandOver()
        format.add(to: &handOver)
        handOver.operands([file])
        try Sibling.builder.run("inspect", handOver, format: format.format)
    }
}
