//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import TestSupport
import Testing

/// The demo must say that all is well only if it is. The servers here are smaller than those of `make demo`.
@Suite(.serialized) struct DemoTests {
    @Test func closesAndOpensTheHolesOfRunningServers() throws {
        let run = try DemoRun(["--patches", try DemoRun.builtPatches.get()])
        #expect(run.code == 0, "\(run.output)")
        #expect(run.output.contains("\nrequests failed: 0\n"))
        #expect(run.output.contains("\nsessions kept: 40 of 40\n"))
        #expect(run.failures.isEmpty)
    }

    /// One byte of one live patch is changed, with a digest that fits: it is applied, verified and undone like any
    /// other, but closes nothing.
    @Test func failsIfAPatchFixesNothing() throws {
        let run = try DemoRun(["--patches", try DemoRun.builtPatches.get(), "--break-patch"])
        #expect(run.code == 1, "\(run.output)")
        #expect(run.failures.count == 2, "\(run.failures)")
        #expect(run.failures.contains { $0.hasPrefix("FAILED: applied: CVE-2026-75803: 'rejected'") })
        #expect(run.failures.contains { $0.hasPrefix("FAILED: applied again: CVE-2026-75803: 'rejected'") })
        #expect(run.output.contains("\nrequests failed: 0\n"))
    }

    /// A stand-in for `moult` that does nothing and says that all is done is not believed.
    @Test func believesClientsAndNotTheTool() throws {
        let tools = try StandIn()
        defer { tools.remove() }
        let run = try DemoRun(["--patches", tools.directory, "--tools", tools.directory])
        #expect(run.code == 1, "\(run.output)")
        for identifier in StandIn.identifiers {
            #expect(run.failures.contains { $0.hasPrefix("FAILED: applied: \(identifier): ") }, "\(identifier)")
            #expect(run.output.contains("[ok] before: \(identifier): "), "\(identifier)")
            #expect(run.output.contains("[ok] undone: \(identifier): "), "\(identifier)")
        }
        #expect(run.output.contains("\nrequests failed: 0\n"))
    }

    @Test(arguments: [SIGINT, SIGTERM]) func leavesNothingBehindWhenInterrupted(_ signal: Int32) throws {
        let tools = try StandIn(secondsToApply: 60)
        defer { tools.remove() }
        let demo = try DemoRun.start(["--patches", tools.directory, "--tools", tools.directory])
        defer { demo.remove() }
        // Interrupted in the middle of the first change, with everything running.
        var servers: [Int32] = []
        for _ in 0..<600 where servers.isEmpty {
            usleep(100_000)
            if demo.text.contains("== Applying") { servers = demo.descendants() }
        }
        #expect(servers.count >= 6, "\(demo.text)")
        kill(demo.process.processIdentifier, signal)
        demo.process.waitUntilExit()
        #expect(demo.process.terminationStatus == 128 + signal)
        // nginx's workers are ended by their master, which the demo waits for.
        #expect(servers.filter(DemoRun.isRunning).isEmpty)
    }

    @Test func refusesAWrongCommandLine() throws {
        let run = try DemoRun(["--sessions", "0"])
        #expect(run.code == 64)
        #expect(run.output.contains("usage: moult-demo"))
    }
}

/// One run of the demo.
private struct DemoRun {
    let code: Int32
    let output: String

    /// The checks that were not met, as they are listed at the end.
    var failures: [Substring] { output.split(separator: "\n").filter { $0.hasPrefix("FAILED: ") } }

    init(_ arguments: [String]) throws {
        let running = try Self.start(arguments)
        running.process.waitUntilExit()
        code = running.process.terminationStatus
        output = running.text
        running.remove()
    }

    /// A run that may be under way.
    struct Running {
        let process: Process
        let file: URL
        var text: String { (try? String(contentsOf: file, encoding: .utf8)) ?? "" }

        func remove() { try? FileManager.default.removeItem(at: file) }

        /// Processes that the demo started, and those that they did.
        func descendants() -> [Int32] {
            var found: [Int32] = []
            var rest = [process.processIdentifier]
            while let parent = rest.popLast() {
                for task in (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(parent)/task")) ?? [] {
                    let list = try? String(contentsOfFile: "/proc/\(parent)/task/\(task)/children", encoding: .utf8)
                    let children = (list ?? "").split(separator: " ").compactMap { Int32($0) }
                    found += children
                    rest += children
                }
            }
            return found
        }
    }

    /// Whether a process is there and did not end yet (one that nobody waits for stays as a zombie, state Z).
    static func isRunning(_ pid: Int32) -> Bool {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
        return text.split(separator: ")").last?.first { $0 != " " } != "Z"
    }

    static func start(_ arguments: [String]) throws -> Running {
        let file = FileManager.default.temporaryDirectory.appending(path: "demo-output-\(UUID().uuidString)")
        try Data().write(to: file)
        let process = Process()
        process.executableURL = URL(filePath: try KillHarness.executable("moult-demo"))
        process.arguments = ["--sessions", "20", "--workers", "2"] + arguments
        process.standardOutput = try FileHandle(forWritingTo: file)
        process.standardError = process.standardOutput
        try process.run()
        return Running(process: process, file: file)
    }

    /// The live patches, built once for all tests.
    static let builtPatches = Result { () throws -> String in
        let directory = FileManager.default.temporaryDirectory.appending(path: "moult-demo-tests-\(getuid())").path
        let process = Process()
        process.executableURL = URL(filePath: try KillHarness.executable("moult"))
        let recipes = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Recipes/bookworm/openssl").path
        process.arguments =
            ["build", "--output", directory] + StandIn.identifiers.map { "\(recipes)/\($0).yaml" }
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
        return directory
    }
}

/// A `moult` that changes nothing and says that it did, with the files that the demo wants.
private struct StandIn {
    static let identifiers = [
        "CVE-2026-75803", "CVE-2026-63076", "CVE-2026-63074", "CVE-2026-42767", "ccm-final-tag",
    ]

    let directory: String

    init(secondsToApply: Int = 0) throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "stand-in-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        for identifier in Self.identifiers {
            try Data("x".utf8).write(to: URL(filePath: "\(directory)/\(identifier).moult"))
        }
        try FileManager.default.createSymbolicLink(
            atPath: directory + "/TLSService", withDestinationPath: try KillHarness.executable("TLSService"))
        let script = """
            #!/bin/sh
            case "$1" in
            inspect)
                echo '{"verdict": "automatic", "cves": [], "part-of": "", "functions": [{"name": "f"}],
                    "target": {"build-id": "00", "version": "3.0.20-1~deb12u2"}}' ;;
            apply | undo)
                [ "$1" = undo ] || sleep \(secondsToApply)
                list=
                while [ $# -gt 0 ]; do
                    if [ "$1" = --pid ]; then list="$list,{\\"pid\\": $2, \\"outcome\\": \\"done\\"}"; fi
                    shift
                done
                echo "{\\"processes\\": [${list#,}]}" ;;
            esac
            """
        try Data(script.utf8).write(to: URL(filePath: directory + "/moult"))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: directory + "/moult")
    }

    func remove() { try? FileManager.default.removeItem(atPath: directory) }
}
