//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials

/// Runs commands to their end and keeps count of the CPU time of each step.
final class Runner {
    /// What a command wrote and how it ended.
    struct Result {
        /// Exit code, or 128 and the signal's number.
        var code: Int32
        /// Standard output.
        var output: String
        /// Standard error.
        var errors: String
        /// CPU seconds of the command and all that it ran.
        var cpuSeconds: Double
    }

    /// Where servers and commands are kept track of.
    let children: Children
    /// Where output goes.
    let workplace: Workplace
    /// CPU seconds of each step, in the order of first use.
    private(set) var steps: [(name: String, cpuSeconds: Double)] = []

    /// Makes a runner.
    init(children: Children, workplace: Workplace) {
        self.children = children
        self.workplace = workplace
    }

    /// Runs a command to its end.
    /// - Parameter step: the step that its CPU time is counted for.
    func run(
        _ arguments: [String], step: String, environment: [String: String] = [:], showErrors: Bool = false
    ) throws(DemoError) -> Result {
        let child = try children.start(
            arguments, environment: environment, output: workplace.path("output"),
            errors: showErrors ? nil : workplace.path("errors"))
        let ending = children.wait(child)
        if let index = steps.firstIndex(where: { $0.name == step }) {
            steps[index].cpuSeconds += ending.cpuSeconds
        } else {
            steps.append((step, ending.cpuSeconds))
        }
        return Result(
            code: ending.code, output: workplace.read("output"), errors: showErrors ? "" : workplace.read("errors"),
            cpuSeconds: ending.cpuSeconds)
    }

    /// Runs a command that must end well, and gives what it wrote.
    func succeed(_ arguments: [String], step: String) throws(DemoError) -> String {
        let result = try run(arguments, step: step)
        guard result.code == 0 else {
            let last = result.errors.split(separator: "\n").suffix(3).joined(separator: "; ")
            throw DemoError(
                code: .failed,
                reason: "'\(arguments.prefix(4).joined(separator: " "))' ended with \(result.code): \(last)")
        }
        return result.output
    }
}
