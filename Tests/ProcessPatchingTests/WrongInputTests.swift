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

/// Each wrong input has its own reason, and nothing is changed.
@Suite(.serialized) struct WrongInputTests {
    /// Mappings and code of the process, to see that nothing was changed.
    private struct Likeness: Equatable {
        var mappings: Int
        var code: [[UInt8]]

        init(_ program: Halves) throws {
            let handle = try ProcessHandle(pid: program.pid)
            let all = try handle.mappings()
            let code = all.filter { $0.isExecutable && $0.displayName.contains("/lib") }
            mappings = all.count { $0.isExecutable }
            self.code = handle.read(code.map(\.range))
        }
    }

    private func patcher(seconds: Double = 1, dryRun: Bool = false) -> Patcher {
        var options = PatchingOptions()
        options.timeout = Int64(seconds * 1e9)
        options.isDryRun = dryRun
        return Patcher(options: options, kernel: .current())
    }

    /// Applies, and expects a refusal for this reason in a process that stays as it was.
    private func expect(
        _ reason: Refusal.Reason, _ files: [PatchFile], in program: Halves, instance: ProcessInstance? = nil,
        location: SourceLocation = #_sourceLocation
    ) throws {
        let before = try Likeness(program)
        let report = patcher().apply(files, to: try instance ?? program.instance)
        guard case .refused(let refusal) = report.outcome else {
            Issue.record("\(report.outcome)", sourceLocation: location)
            return
        }
        #expect(refusal.reason == reason, "\(refusal)", sourceLocation: location)
        #expect(!refusal.sentence.isEmpty && !refusal.remedy.isEmpty, sourceLocation: location)
        #expect(try Likeness(program) == before, sourceLocation: location)
        #expect(program.answersNow() == (true, false), sourceLocation: location)
        #expect(program.wrongAnswers == 0 && program.errors == 0, sourceLocation: location)
    }

    @Test func patchesForOtherBuilds() throws {
        let workshop = try Workshop.shared.get()
        let program = try Halves(threads: 2, workshop: workshop)
        var patch = try workshop.patch("one", ["one_run"])
        patch.target.buildID[3] ^= 1
        try expect(.otherBuild, [PatchFiles.file(patch)], in: program)
        patch.target.name = "libother.so.1"
        try expect(.targetNotMapped, [PatchFiles.file(patch)], in: program)
        // All or nothing: one that fits does not help.
        try expect(
            .targetNotMapped, [PatchFiles.file(patch), PatchFiles.file(workshop.patch("two", ["two_decode"]))],
            in: program)
    }

    @Test func patchesThatDoNotGoTogether() throws {
        let workshop = try Workshop.shared.get()
        let program = try Halves(threads: 2, workshop: workshop)
        let one = try PatchFiles.halves(workshop)[0]
        try expect(.requirementMissing, [one], in: program)
        let two = try PatchFiles.halves(workshop)[1]
        try expect(.duplicatePatch, [two, two], in: program)
    }

    @Test func anotherInstanceWithTheSamePid() throws {
        let workshop = try Workshop.shared.get()
        let program = try Halves(workshop: workshop)
        var instance = try program.instance
        instance.startTime += 1
        try expect(.otherInstance, PatchFiles.halves(workshop), in: program, instance: instance)
        instance = try program.instance
        instance.executable.inode ^= 1
        try expect(.otherInstance, PatchFiles.halves(workshop), in: program, instance: instance)
    }

    @Test func aProcessThatHasEnded() throws {
        let workshop = try Workshop.shared.get()
        let program = try Halves(workshop: workshop)
        let instance = try program.instance
        program.end()
        guard case .refused(let refusal) = patcher().apply(try PatchFiles.halves(workshop), to: instance).outcome else {
            Issue.record("not refused")
            return
        }
        #expect(refusal.reason == .processEnded || refusal.reason == .noSuchProcess)
    }

    /// Killed at some moment while it is being patched: the tool reports it and goes on.
    @Test func aProcessThatEndsHalfWay() throws {
        let workshop = try Workshop.shared.get()
        let files = try PatchFiles.halves(workshop)
        var ended = 0
        for round in 0..<40 {
            let program = try Halves(threads: 4, workshop: workshop)
            let instance = try program.instance
            let pid = program.pid
            let killer = Thread {
                usleep(UInt32(round * 250))
                kill(pid, SIGKILL)
            }
            killer.start()
            switch patcher().apply(files, to: instance).outcome {
            case .done: break
            case .refused(let refusal) where [.processEnded, .otherInstance].contains(refusal.reason): ended += 1
            case let other: Issue.record("round \(round): \(other)")
            }
            while !killer.isFinished { usleep(100) }
            // Not earlier: the killer must not meet another process with the same pid.
            program.end()
        }
        #expect(ended > 0)
    }

    @Test func underADebugger() throws {
        let workshop = try Workshop.shared.get()
        let program = try Halves(threads: 2, workshop: workshop)
        let gate = "\(workshop.directory)/gdb-\(program.pid)"
        let gdb = try Command.spawn(
            "/usr/bin/gdb",
            [
                "-nx", "-q", "-batch", "-p", "\(program.pid)", "-ex",
                "shell touch \(gate); while test -e \(gate); do sleep 0.02; done",
            ])
        while !FileManager.default.fileExists(atPath: gate) { usleep(1000) }
        let report = patcher().apply(try PatchFiles.halves(workshop), to: try program.instance)
        unlink(gate)
        Command.wait(gdb)
        guard case .refused(let refusal) = report.outcome else {
            Issue.record("\(report.outcome)")
            return
        }
        #expect(refusal.reason == .beingTraced)
        #expect(program.answersNow() == (true, false))
        // And once the debugger is gone it works.
        #expect(patcher().apply(try PatchFiles.halves(workshop), to: try program.instance).outcome == .done)
    }

    @Test func aFunctionAlteredBySomeoneElse() throws {
        let workshop = try Workshop.shared.get()
        let program = try Halves(threads: 2, workshop: workshop)
        let files = try PatchFiles.halves(workshop)
        let handle = try ProcessHandle(pid: program.pid)
        let object = try #require(try handle.loadedObjects().first { $0.displayName.hasSuffix("libone.so") })
        let entry = try #require(files[0].patch.entries.first)
        let address = object.loadBias + entry.address
        let memory = open("/proc/\(program.pid)/mem", O_RDWR)
        defer { close(memory) }
        func poke(_ bytes: [UInt8], at address: UInt64) {
            #expect(pwrite(memory, bytes, bytes.count, off_t(Int64(bitPattern: address))) == bytes.count)
        }
        try program.stop()
        for offset in [0, 7, entry.expected.count - 1] {
            let byte = entry.expected[offset]
            poke([byte ^ 4], at: address + UInt64(offset))
            let before = try Likeness(program)
            guard case .refused(let refusal) = patcher().apply(files, to: try program.instance).outcome else {
                Issue.record("not refused with byte \(offset) altered")
                return
            }
            #expect(refusal.reason == .alteredByOthers)
            #expect(try Likeness(program) == before)
            poke([byte], at: address + UInt64(offset))
        }
        kill(program.pid, SIGCONT)

        // After applying, someone changes a jump back: verify says so, undo refuses.
        #expect(patcher().apply(files, to: try program.instance).outcome == .done)
        let jump = try handle.read(address, count: 5)
        try program.stop()
        poke([0xCC], at: address)
        let verified = patcher().verify(nil, in: try program.instance)
        #expect(verified.differences.map(\.kind) == [.entryAltered])
        guard case .refused(let refusal) = patcher().undo("FIX-one", in: try program.instance).outcome else {
            Issue.record("undo was not refused")
            return
        }
        #expect(refusal.reason == .alteredByOthers)
        poke(jump, at: address)
        // A byte of the image, in the padding behind its code.
        let image = try #require(verified.transactions.first?.patches.first).address
        let header = try handle.read(image, count: 16)
        let size = UInt64(header[12]) | UInt64(header[13]) << 8
        let byte = try handle.read(image + size, count: 1)
        poke([byte[0] ^ 1], at: image + size)
        #expect(patcher().verify(nil, in: try program.instance).differences.map(\.kind) == [.imageAltered])
        poke(byte, at: image + size)
        #expect(patcher().verify(nil, in: try program.instance).isWhole)
        kill(program.pid, SIGCONT)
        #expect(program.answersNow() == (false, true))
        #expect(patcher().undo("FIX-two", in: try program.instance).outcome == .done)
    }

    @Test func noRoomWithinReach() throws {
        let workshop = try Workshop.shared.get()
        let program = try Halves(threads: 1, mode: "full", workshop: workshop)
        try expect(.noRoomWithinReach, PatchFiles.halves(workshop), in: program)
    }

    @Test func aBusyFunction() throws {
        let workshop = try Workshop.shared.get()
        let program = try Halves(threads: 3, mode: "stay", workshop: workshop)
        while program.rounds[1] == 0 { usleep(1000) }
        let before = try Likeness(program)
        let report = patcher(seconds: 0.3).apply(try PatchFiles.halves(workshop), to: try program.instance)
        guard case .busy(let threads) = report.outcome else {
            Issue.record("\(report.outcome)")
            return
        }
        #expect(threads.contains { ["one_run", "one_mix", "two_encode", "two_decode"].contains($0.function) })
        #expect(report.stops > 1)
        #expect(try Likeness(program) == before)
        #expect(program.wrongAnswers == 0 && program.errors == 0)
        // The same functions one by one, where any mixture is safe, do not have to wait.
        let alone = try PatchFiles.file(workshop.patch("two", ["two_decode"], identifier: "ALONE", verdict: .automatic))
        #expect(patcher().apply([alone], to: try program.instance).outcome == .done)
        #expect(patcher().undo("ALONE", in: try program.instance).outcome == .done)
    }

    @Test func whatIsReplacedAlready() throws {
        let workshop = try Workshop.shared.get()
        let program = try Halves(threads: 2, workshop: workshop)
        let files = try PatchFiles.halves(workshop)
        let instance = try program.instance
        #expect(patcher(dryRun: true).apply(files, to: instance).outcome == .possible)
        #expect(try ProcessHandle(pid: program.pid).mappings().filter(\.isExecutable).allSatisfy { !$0.isAnonymous })
        #expect(patcher().apply(files, to: instance).outcome == .done)
        #expect(patcher().apply(files, to: instance).outcome == .alreadyDone)
        #expect(patcher().apply(files.reversed(), to: instance).outcome == .alreadyDone)
        // One of them alone is applied, too.
        #expect(patcher().apply([files[1]], to: instance).outcome == .alreadyDone)
        let other = try PatchFiles.file(workshop.patch("one", ["one_mix"], identifier: "OTHER"))
        guard case .refused(let refusal) = patcher().apply([other], to: instance).outcome else {
            Issue.record("not refused")
            return
        }
        #expect(refusal.reason == .replacedByOtherPatch)
        #expect(refusal.sentence.contains("FIX-one"))
        #expect(patcher(dryRun: true).undo("FIX-one", in: instance).outcome == .possible)
        #expect(program.answersNow() == (false, true))
        #expect(patcher().undo("FIX-one", in: instance).outcome == .done)
        #expect(patcher().undo("FIX-one", in: instance).outcome == .alreadyDone)
        guard case .refused(let missing) = patcher().undo("NEVER", in: instance).outcome else {
            Issue.record("not refused")
            return
        }
        #expect(missing.reason == .notApplied)
    }

    /// What another applied patch needs stays.
    @Test func whatOthersNeed() throws {
        let workshop = try Workshop.shared.get()
        let program = try Halves(threads: 1, workshop: workshop)
        let files = try PatchFiles.halves(workshop)
        let instance = try program.instance
        let patcher = patcher(seconds: 20)
        #expect(patcher.apply([files[1]], to: instance).outcome == .done)
        #expect(patcher.apply([files[0]], to: instance).outcome == .done)
        #expect(patcher.status(of: instance).transactions.count == 2)
        guard case .refused(let refusal) = patcher.undo("FIX-two", in: instance).outcome else {
            Issue.record("not refused")
            return
        }
        #expect(refusal.reason == .requiredByOther)
        // Both are applied, though not together.
        #expect(patcher.verify(files, in: instance).isWhole)
        #expect(patcher.apply(files, to: instance).outcome == .alreadyDone)
        #expect(patcher.undo("FIX-one", in: instance).outcome == .done)
        #expect(patcher.undo("FIX-two", in: instance).outcome == .done)
        #expect(program.answersNow() == (true, false))
        // Together they are another transaction, with patch memory of its own.
        #expect(patcher.apply(files, to: instance).outcome == .done)
        #expect(program.answersNow() == (false, true))
        #expect(patcher.undo("FIX-two", in: instance).outcome == .done)
    }
}
