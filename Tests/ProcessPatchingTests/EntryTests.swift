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

/// Threads in the very bytes that are overwritten, and entries that cannot have a gate.
@Suite(.serialized) struct EntryTests {
    private func patcher(seconds: Double = 2) -> Patcher {
        var options = PatchingOptions()
        options.timeout = Int64(seconds * 1e9)
        return Patcher(options: options, kernel: .current())
    }

    /// A function was interrupted in its second instruction, by a signal whose handler runs on another stack: it will
    /// go on in the middle of the jump. Any mixture is safe here, and yet the patch has to wait.
    @Test func interruptedInTheOverwrittenBytes() throws {
        let workshop = try Workshop.shared.get()
        let path = "\(workshop.directory)/handler-\(UInt32.random(in: 0 ... .max))"
        let descriptor = open(path, O_RDWR | O_CREAT, 0o666)
        defer { close(descriptor) }
        #expect(ftruncate(descriptor, 4096) == 0)
        let map = try #require(mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0))
        let words = map.assumingMemoryBound(to: UInt64.self)
        func word(_ index: Int) -> UInt64 { UnsafeRawPointer(words + index).load(as: UInt64.self) }
        let pid = try Command.spawn("\(workshop.directory)/handler", [path])
        defer {
            kill(pid, SIGKILL)
            Command.wait(pid)
        }
        while word(0) != 1 { usleep(1000) }
        let patch = try workshop.patch("fault", ["fault_read"], verdict: .automatic, prologue: [1, 2, 1, 1])
        let file = try PatchFiles.file(patch)
        let instance = try ProcessHandle(pid: pid).instance
        let report = patcher(seconds: 0.2).apply([file], to: instance)
        #expect(report.outcome == .busy([BusyThread(thread: pid, function: "fault_read", byScan: false)]))
        words[2] = 1
        while word(0) != 2 { usleep(1000) }
        #expect(patcher().apply([file], to: instance).outcome == .done)
        var round = word(3)
        while word(3) < round + 2 { usleep(1000) }
        #expect(word(1) == 42)
        #expect(patcher().undo("FIX-fault", in: instance).outcome == .done)
        round = word(3)
        while word(3) < round + 2 { usleep(1000) }
        #expect(word(1) == 41)
    }

    /// One function without a gate: its own write is the commit.
    @Test(arguments: [Verdict.automatic, .quiescent]) func withoutGates(verdict: Verdict) throws {
        let workshop = try Workshop.shared.get()
        let program = try Halves(threads: 2, workshop: workshop)
        let file = try PatchFiles.file(workshop.patch("two", ["two_decode"], verdict: verdict, hasGates: false))
        let instance = try program.instance
        for _ in 0..<5 {
            #expect(patcher(seconds: 20).apply([file], to: instance).outcome == .done)
            #expect(patcher().verify([file], in: instance).isWhole)
            // One new function among three old ones: every answer is wrong, which shows that it is called.
            let wrong = program.wrongAnswers
            #expect(program.answersNow() == (false, false))
            #expect(program.wrongAnswers > wrong)
            #expect(patcher(seconds: 20).undo("FIX-two", in: instance).outcome == .done)
            #expect(program.answersNow() == (true, false))
        }
        // Two without gates that must switch together cannot.
        let both = try PatchFiles.file(workshop.patch("two", ["two_decode", "two_encode"], hasGates: false))
        guard case .refused(let refusal) = patcher().apply([both], to: instance).outcome else {
            Issue.record("not refused")
            return
        }
        #expect(refusal.reason == .gateMissing)
    }
}
