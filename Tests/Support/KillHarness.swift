//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import Foundation

/// The kill test: a tool is run under a supervisor (Programs/supervisor.c) that kills it with SIGKILL right after one
/// of its system calls; then the test looks at what is left.
package struct KillHarness {
    /// From which system call of the tool on is counted.
    package enum Start: String {
        /// Its first PTRACE_SEIZE: before it, nothing is touched.
        case seize
        /// Its first after execve.
        case start
        /// Its first pwrite64: the first change of another process's memory.
        case write
    }

    /// How a run ended.
    package enum Outcome: Equatable {
        /// Killed after the system call with this number.
        case killed(systemCall: Int)
        /// It ended before: exit status, and the number of system calls that were counted.
        case exited(status: Int32, systemCalls: Int)
    }

    private let supervisor: String
    private let start: Start

    /// Compiles the supervisor.
    package init(countingFrom start: Start = .seize) throws {
        supervisor = try TestProgram.path("supervisor")
        self.start = start
    }

    /// Runs the tool once, killing it after the `count`th system call (0: never). What the tool printed is returned too.
    package func run(_ tool: [String], killingAfter count: Int) throws -> (outcome: Outcome, output: String) {
        let file = "\(TestProgram.directory)/outcome-\(UInt64.random(in: 0 ... .max))"
        defer { unlink(file) }
        let result = try Command.run(supervisor, [file, start.rawValue, "\(count)"] + tool)
        let words = ((try? String(contentsOfFile: file, encoding: .utf8)) ?? "").split { $0 == " " || $0 == "\n" }
        switch words.first {
        case "killed" where words.count == 2:
            return (.killed(systemCall: Int(words[1]) ?? -1), result.output)
        case "exited" where words.count == 3:
            return (.exited(status: Int32(words[1]) ?? -1, systemCalls: Int(words[2]) ?? -1), result.output)
        default: throw TestProgram.Failure(text: "the supervisor failed: \(result.status) \(result.output)")
        }
    }

    /// Kills the tool after its first, second ... system call, until a run ends by itself. `check` is called after each
    /// kill with the number and the system call; gives the last run's outcome and the number of kills.
    package func afterEverySystemCall(
        of tool: () throws -> [String], check: (Int, Int) throws -> Void
    ) throws -> (kills: Int, last: Outcome) {
        var count = 1
        while true {
            let outcome = try run(tool(), killingAfter: count).outcome
            guard case .killed(let systemCall) = outcome else { return (count - 1, outcome) }
            try check(count, systemCall)
            count += 1
        }
    }

    /// Path of an executable of this package, built beside the tests.
    package static func executable(_ name: String) throws -> String {
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") || $0.contains(".xctest/") }
        let candidates = [bundle, "/proc/self/exe"].compactMap { $0 }.map { path -> String in
            var url = URL(filePath: path).resolvingSymlinksInPath()
            while url.path.contains(".xctest") { url.deleteLastPathComponent() }
            if path == "/proc/self/exe" { url.deleteLastPathComponent() }
            return url.appending(path: name).path
        }
        guard let found = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
            throw TestProgram.Failure(text: "\(name) is not beside the tests: \(candidates)")
        }
        return found
    }
}
