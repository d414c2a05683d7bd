//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import LivePatch
import PatchPlan
import ProcessInspection
import ProcessPatching
import TestSupport
import Testing

/// Children, deleted files, other users, many processes.
@Suite(.serialized) struct SurroundingsTests {
    private let patcher = Patcher(kernel: .current())

    /// Children keep the patch, and are recognised without a file or any state.
    @Test func forkedChildren() throws {
        let workshop = try Workshop.shared.get()
        let program = try Halves(threads: 2, workshop: workshop)
        let files = try PatchFiles.halves(workshop)
        #expect(patcher.apply(files, to: try program.instance).outcome == .done)
        program.fork()
        let child = try ProcessHandle(pid: program.child).instance
        while program.childAnswers.new < 10 { usleep(1000) }
        #expect(program.childAnswers.old == 0)
        #expect(patcher.verify(files, in: child).isWhole)
        #expect(patcher.apply(files, to: child).outcome == .alreadyDone)
        #expect(patcher.undo("FIX-one", in: child).outcome == .done)
        let before = program.childAnswers
        while program.childAnswers.old < before.old + 10 { usleep(1000) }
        // The parent is not touched by it.
        #expect(program.answersNow() == (false, true))
        #expect(patcher.verify(files, in: try program.instance).isWhole)
        #expect(!patcher.verify(files, in: child).isWhole)
        #expect(program.childAnswers.wrong == 0 && program.wrongAnswers == 0)
    }

    /// What is in memory counts, not what lies on disk.
    @Test func librariesReplacedOnDisk() throws {
        let workshop = try Workshop.shared.get()
        let copy = "\(workshop.directory)/copy-\(UInt32.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: true)
        for name in ["libone.so", "libtwo.so", "halves"] {
            try FileManager.default.copyItem(atPath: "\(workshop.directory)/\(name)", toPath: "\(copy)/\(name)")
        }
        let program = try Halves(threads: 2, workshop: workshop, program: "\(copy)/halves")
        unlink("\(copy)/libone.so")
        unlink("\(copy)/libtwo.so")
        try Data("something else".utf8).write(to: URL(filePath: "\(copy)/libtwo.so"))
        let files = try PatchFiles.halves(workshop)
        #expect(patcher.apply(files, to: try program.instance).outcome == .done)
        #expect(program.answersNow() == (false, true))
        #expect(patcher.undo("FIX-two", in: try program.instance).outcome == .done)
        #expect(program.answersNow() == (true, false))
    }

    private func files(_ workshop: Workshop) throws -> [String] {
        try PatchFiles.halves(workshop).map { try workshop.write($0.patch) }
    }

    @Test func withoutPrivilege() throws {
        let workshop = try Workshop.shared.get()
        let program = try Halves(threads: 2, workshop: workshop)
        let applier = try KillHarness.executable("moult-applier")
        let result = try Command.run(
            "/usr/bin/setpriv",
            ["--reuid=65534", "--regid=65534", "--clear-groups", applier, "apply"] + files(workshop)
                + ["--pid", "\(program.pid)", "--format", "json"])
        #expect(result.status == 2, "\(result.output)")
        #expect(result.output.contains("\"reason\": \"no-permission\""), "\(result.output)")
        #expect(program.answersNow() == (true, false))
    }

    /// The command line: exit codes, and `--all` in a PID namespace of its own.
    @Test func allProcesses() throws {
        let workshop = try Workshop.shared.get()
        let applier = try KillHarness.executable("moult-applier")
        let paths = try files(workshop).joined(separator: " ")
        let halves = "\(workshop.directory)/halves"
        let base = "\(workshop.directory)/all-\(UInt32.random(in: 0 ... .max))"
        let script = """
            for number in 1 2 3; do \(halves) \(base)-$number 2 run & done
            sleep 0.5
            \(applier) apply \(paths) --all --timeout 20 > \(base).1; echo exit apply $?
            \(applier) verify --all > \(base).2; echo exit verify $?
            \(applier) verify \(paths) --all > \(base).2; echo exit verify $?
            \(halves) \(base)-4 2 stay & sleep 0.3
            \(applier) apply \(paths) --all --timeout 1 > \(base).3; echo exit partly $?
            \(applier) apply \(paths) --pid $! --timeout 1 > \(base).3; echo exit busy $?
            \(applier) undo FIX-one --all --timeout 20 > \(base).4; echo exit undo $?
            \(applier) undo FIX-one --all > \(base).4; echo exit again $?
            \(applier) apply --all; echo exit usage $?
            \(applier) apply \(paths) --all --pid 1; echo exit usage $?
            \(applier) apply \(base).1 --all; echo exit file $?
            kill -9 -1
            """
        let result = try Command.run("/usr/bin/unshare", ["-pf", "--mount-proc", "/bin/bash", "-c", script])
        let lines = result.output.split(separator: "\n").filter { $0.hasPrefix("exit ") }.map { $0.dropFirst(5) }
        #expect(
            lines == [
                "apply 0", "verify 0", "verify 0", "partly 4", "busy 3", "undo 0", "again 2", "usage 64", "usage 64",
                "file 2",
            ], "\(result.output)")
        let text = try String(contentsOfFile: "\(base).1", encoding: .utf8)
        #expect(text.contains("apply: 3 of 3 processes"), "\(text)")
    }
}
