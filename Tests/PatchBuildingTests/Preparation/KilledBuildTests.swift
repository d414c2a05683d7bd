//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import Glibc
import PatchBuilding
import Testing

/// A build that is ended from outside: what it started ends too, and the next run finds nothing in its way.
@Suite("Builds that are killed", .serialized) struct KilledBuildTests {
    /// Starts `moult-build` and returns its process. Not by the shell's own means: it makes background processes
    /// ignore SIGINT.
    private func start(_ shipped: ShippedPlume) async throws -> pid_t {
        let file = shipped.directory + "/pid"
        try await shell(
            "rm -f \(file); perl -e '$SIG{INT} = q(DEFAULT); exec @ARGV' env \(try shipped.command()) "
                + ">/dev/null 2>&1 </dev/null & echo $! >\(file)")
        let text = String(decoding: FileManager.default.contents(atPath: file) ?? Data(), as: UTF8.self)
        return try #require(pid_t(text.filter(\.isNumber)))
    }

    /// Whether a process is there that has not ended.
    private func isRunning(_ pid: pid_t) -> Bool {
        let status = FileManager.default.contents(atPath: "/proc/\(pid)/stat") ?? Data()
        let text = String(decoding: status, as: UTF8.self)
        return !text.isEmpty && !text.contains(") Z ")
    }

    @Test("A build step that would not end is ended with its build", arguments: [SIGKILL, SIGTERM, SIGINT])
    func killed(signal: Int32) async throws {
        try await withTemporaryDirectory { directory in
            let shipped = try await ShippedPlume(
                in: directory, prepare: ["trap '' TERM INT HUP; touch reached; sleep 3600 & setsid sleep 3601; wait"])
            let pid = try await start(shipped)
            var isReached = false
            while !isReached, isRunning(pid) {
                let tree = shipped.unfinished.first { $0.hasPrefix("build.") } ?? "none"
                isReached = FileManager.default.fileExists(atPath: "\(shipped.scratch)/\(tree)/tree/reached")
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(isReached)
            #expect(Processes.concerned(with: directory).count > 2, "the build runs")
            kill(pid, signal)
            #expect(try await Processes.areGone(directory), "\(Processes.description(directory))")
            #expect(!shipped.unfinished.isEmpty, "what the next run has to remove")
            // The same with a build that ends.
            let recipe = shipped.recipe.replacing("fix.yaml", with: "build.yaml")
            try await shell("sed -i /reached/d \(recipe)")
            let run = try await shipped.run(try shipped.command())
            #expect(run.status == 0, "\(run.output)\(run.errors)")
            #expect(shipped.unfinished.isEmpty)
        }
    }

    @Test("Wherever a build is killed, the next one makes the same live patch and leaves nothing") func anywhere()
        async throws
    {
        try await withTemporaryDirectory { directory in
            let shipped = try await ShippedPlume(in: directory)
            let undisturbed = try await shipped.run(try shipped.command())
            #expect(undisturbed.status == 0, "\(undisturbed.output)\(undisturbed.errors)")
            let expected = try #require(shipped.patch)
            var numbers = SeededNumbers(state: 7)
            for round in 0..<12 {
                try await shell("rm -rf \(shipped.output) \(shipped.plume.cache.directory)/builds")
                let pid = try await start(shipped)
                if round % 3 == 0 {
                    // At the moment that a sandbox begins: bubblewrap itself would leave a process behind.
                    var wanted = Int.random(in: 1...6, using: &numbers)
                    var seen: Set<Int32> = []
                    while wanted > 0, isRunning(pid) {
                        let new = Processes.concerned(with: directory).filter { seen.insert($0).inserted }
                        wanted -= new.count
                    }
                } else {
                    try await Task.sleep(for: .milliseconds(Int.random(in: 1...1500, using: &numbers)))
                }
                // Numbers of processes are given again only after many others: this one is not waited for, but
                // it is ours as long as it runs.
                if isRunning(pid) { kill(pid, round % 2 == 0 ? SIGKILL : SIGTERM) }
                #expect(try await Processes.areGone(directory), "\(Processes.description(directory))")
                let part =
                    try FileManager.default.fileExists(atPath: shipped.output)
                    ? FileManager.default.contentsOfDirectory(atPath: shipped.output).filter { !$0.hasPrefix(".") } : []
                #expect(part.isEmpty || shipped.patch == expected, "a live patch is there whole or not at all")
            }
            let run = try await shipped.run(try shipped.command())
            #expect(run.status == 0, "\(run.output)\(run.errors)")
            #expect(shipped.patch == expected)
            #expect(shipped.unfinished.isEmpty)
            #expect(try FileManager.default.contentsOfDirectory(atPath: shipped.output) == ["fix.moult"])
            let builds = shipped.plume.cache.directory + "/builds/\(PlumePackage.suite)/plume/1.0-1"
            #expect(try FileManager.default.contentsOfDirectory(atPath: builds).count == 1)
        }
    }

    @Test("Two builds at a time in one cache do not take each other's unfinished things away") func together()
        async throws
    {
        try await withTemporaryDirectory { directory in
            let shipped = try await ShippedPlume(in: directory)
            async let first = shipped.run(try shipped.command(output: directory + "/a"))
            async let second = shipped.run(try shipped.command(output: directory + "/b"))
            async let third = shipped.run(try shipped.command(output: directory + "/a"))
            for run in try await [first, second, third] { #expect(run.status == 0, "\(run.output)\(run.errors)") }
            let patches = ["a", "b"].map { FileManager.default.contents(atPath: "\(directory)/\($0)/fix.moult") }
            #expect(patches[0] != nil && patches[0] == patches[1])
            #expect(shipped.unfinished.isEmpty)
        }
    }
}
