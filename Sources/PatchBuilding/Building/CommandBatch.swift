//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials

/// Commands that are run in one sandbox, as many at a time as there are processors.
///
/// A sandbox takes some milliseconds to make; a library has hundreds of objects.
struct CommandBatch: Sendable {
    /// One command.
    struct Step: Sendable {
        /// What it is for, if it fails: `compiling src/one.c`.
        var purpose: String
        /// Directory inside the sandbox.
        var directory: String
        /// Name of the program.
        var program: String
        /// Its arguments.
        var arguments: [String]
    }

    /// Where the commands are run. Nothing else may be mounted at `place`.
    let sandbox: Sandbox
    /// Variables of the commands.
    let variables: [String: String]
    /// A directory of the machine for what the commands are and say; what is in it is overwritten.
    let directory: String

    /// Where that directory is seen.
    static let place = Sandbox.own + "/steps"

    /// Runs them all, and none any more after one failed.
    ///
    /// - Returns: what each wrote to standard output, in their order.
    /// - Throws: `PreparationError` with `buildFailed`: the first that failed.
    func run(_ steps: [Step]) async throws(PreparationError) -> [[UInt8]] {
        guard !steps.isEmpty else { return [] }
        // What is in it, not itself: it may be locked, and a lock goes with the directory that it was taken on.
        try Files.makeDirectory(directory)
        for name in Files.names(directory) { try Files.remove("\(directory)/\(name)") }
        var list = ""
        for (number, step) in steps.enumerated() {
            try Files.write(CommandBatch.script(step, number), to: "\(directory)/\(number)")
            list += "\(CommandBatch.place)/\(number)\n"
        }
        try Files.write(list, to: directory + "/list")
        let width = max(1, ProcessInfo.processInfo.activeProcessorCount)
        // A script that ends with 255 keeps xargs(1) from starting another.
        let result = try await Command(
            "xargs", ["-a", CommandBatch.place + "/list", "-P", "\(width)", "-n", "1", "sh"],
            environment: variables, sandbox: sandbox.writing(directory, at: CommandBatch.place)
        ).result()
        var outputs: [[UInt8]] = []
        for (number, step) in steps.enumerated() {
            guard Files.exists("\(directory)/\(number).done") else {
                // Not the one that failed, but one that was not started.
                if !Files.exists("\(directory)/\(number).errors") { continue }
                let said = String(decoding: try Files.read("\(directory)/\(number).errors"), as: UTF8.self)
                throw PreparationError.ofTool(.buildFailed, "\(step.purpose) failed", said: said, writing: directory)
            }
            outputs.append(try Files.read("\(directory)/\(number).output"))
        }
        guard result.status == 0, outputs.count == steps.count else {
            throw PreparationError.ofTool(
                .buildFailed, "\(steps[0].purpose) and \(steps.count - 1) more could not be run", said: result.errors,
                writing: directory)
        }
        return outputs
    }

    private static func script(_ step: Step, _ number: Int) -> String {
        let words = ([step.program] + step.arguments).map(BuildWatch.quoted).joined(separator: " ")
        let base = "\(place)/\(number)"
        return """
            cd \(BuildWatch.quoted(step.directory)) 2>\(base).errors || exit 255
            \(words) >\(base).output 2>\(base).errors || exit 255
            true >\(base).done || exit 255

            """
    }
}
