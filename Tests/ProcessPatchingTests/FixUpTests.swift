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

/// Data that are set in a process that runs.
@Suite(.serialized) struct FixUpTests {
    private let patcher = Patcher(kernel: .current())

    private func files(_ workshop: Workshop, _ change: (inout Patch) throws -> Void = { _ in }) throws -> [PatchFile] {
        var patch = try PatchFiles.dataSetter(workshop)
        try change(&patch)
        return [try PatchFiles.file(patch), try PatchFiles.file(workshop.patch("two", ["two_encode", "two_decode"]))]
    }

    private func refused(_ outcome: ProcessPatching.Outcome) -> Refusal? {
        if case .refused(let refusal) = outcome { return refusal }
        return nil
    }

    /// Writes into the program as something that is not ours would.
    private func put(_ bytes: [UInt8], _ name: String, _ program: Halves, _ workshop: Workshop) throws {
        let address = try DataOfOne.base(program) + (try #require(try DataOfOne.symbols(workshop)[name]))
        let file = try FileHandle(forUpdating: URL(filePath: "/proc/\(program.pid)/mem"))
        try file.seek(toOffset: address)
        try file.write(contentsOf: bytes)
        try file.close()
    }

    @Test(arguments: [1, 4]) func setAndTakenBack(threads: Int) throws {
        let workshop = try Workshop.shared.get()
        let program = try Halves(threads: threads, workshop: workshop)
        let instance = try program.instance
        let files = try files(workshop)
        for _ in 0..<5 {
            #expect(try DataOfOne(program, workshop).areOriginal)
            let applied = patcher.apply(files, to: instance)
            try #require(applied.outcome == .done, "\(applied.outcome)")
            #expect(try DataOfOne(program, workshop).areSet)
            #expect(patcher.verify(files, in: instance).isWhole)
            #expect(program.answersNow() == (false, true))
            // Nothing is writable and executable, and what is read-only after relocation stays so.
            let mappings = try ProcessHandle(instance).mappings()
            #expect(!mappings.contains { $0.isWritable && $0.isExecutable })
            let slot = try DataOfOne.base(program) + (try #require(try DataOfOne.symbols(workshop)["one_slot"]))
            #expect(mappings.contains { $0.range.contains(slot) && !$0.isWritable && !$0.isExecutable })
            let undone = patcher.undo("FIX-one", in: instance)
            try #require(undone.outcome == .done, "\(undone.outcome)")
            #expect(program.answersNow() == (true, false))
        }
        #expect(try DataOfOne(program, workshop).areOriginal)
        #expect(program.wrongAnswers == 0 && program.errors == 0)
    }

    @Test func anythingElseIsRefusedAndLeavesNothing() throws {
        let workshop = try Workshop.shared.get()
        let program = try Halves(threads: 2, workshop: workshop)
        let instance = try program.instance
        let before = try ProcessHandle(instance).mappings().count
        let files = try files(workshop)
        try put([3], "one_share", program, workshop)
        for isDryRun in [true, false] {
            var options = PatchingOptions()
            options.isDryRun = isDryRun
            let report = Patcher(options: options, kernel: .current()).apply(files, to: instance)
            let refusal = try #require(refused(report.outcome), "\(report.outcome)")
            #expect(refusal.reason == .fixupMismatch)
            let address = try DataOfOne.base(program) + (try #require(try DataOfOne.symbols(workshop)["one_share"]))
            for part in ["one_share", "0x" + String(address, radix: 16), "0x3", "0x1"] {
                #expect(refusal.sentence.contains(part), "\(part): \(refusal.sentence)")
            }
            // Of a slot that would lead into the image nothing is known yet.
            #expect(!refusal.sentence.contains("with it"))
            // Nothing was mapped, nothing was stopped, and of three data none was set.
            #expect(report.stops == 0)
            #expect(try ProcessHandle(instance).mappings().count == before)
            let data = try DataOfOne(program, workshop)
            #expect(data.factors == [1, 1] && data.share == 3)
        }
        #expect(program.answersNow() == (true, false))
    }

    @Test func whatIsNotADatumOfTheTarget() throws {
        let workshop = try Workshop.shared.get()
        let program = try Halves(workshop: workshop)
        let instance = try program.instance
        let code = try #require(try DataOfOne.symbols(workshop)["one_idle"])
        for address in [code, 0x10_0000] {
            let files = try files(workshop) { patch in
                patch.fixUps[2].address = address
                patch.fixUps[2].from = .number(0xf3)
            }
            let refusal = try #require(refused(patcher.apply(files, to: instance).outcome))
            #expect(refusal.reason == .fixupMismatch)
        }
        #expect(program.answersNow() == (true, false))
    }

    @Test func whatOthersHaveSetIsNotTakenBack() throws {
        let workshop = try Workshop.shared.get()
        let program = try Halves(workshop: workshop)
        let instance = try program.instance
        let files = try files(workshop)
        try #require(patcher.apply(files, to: instance).outcome == .done)
        // The new functions do not look at the first factor; of the second one byte is changed.
        try put([1, 0, 0, 0, 7, 1], "one_factor", program, workshop)
        let report = patcher.verify(files, in: instance)
        #expect(!report.isWhole)
        let differences = patcher.verify(nil, in: instance).differences
        #expect(differences.map(\.kind) == [.dataAltered])
        #expect(differences.map(\.function) == ["one_factor+4"])
        #expect(patcher.status(of: instance).transactions.map(\.state) == [.altered])
        let refusal = try #require(refused(patcher.undo("FIX-one", in: instance).outcome))
        #expect(refusal.reason == .fixupMismatch)
        #expect(refusal.sentence.contains("0x107"))
        try put([1, 0, 0, 0, 7, 0], "one_factor", program, workshop)
        #expect(patcher.verify(files, in: instance).isWhole)
        #expect(patcher.undo("FIX-one", in: instance).outcome == .done)
        #expect(try DataOfOne(program, workshop).areOriginal)
    }

    @Test func oneDatumBelongsToOnePatch() throws {
        let workshop = try Workshop.shared.get()
        let program = try Halves(workshop: workshop)
        let instance = try program.instance
        try #require(patcher.apply(try files(workshop), to: instance).outcome == .done)
        // Another function, the same datum, and what it holds now.
        var other = try workshop.patch("one", ["one_idle"], identifier: "FIX-idle")
        other.fixUps = try PatchFiles.dataSetter(workshop).fixUps.suffix(1).map { fixUp in
            var fixUp = fixUp
            (fixUp.from, fixUp.to) = (.number(4), .number(5))
            return fixUp
        }
        let refusal = try #require(refused(patcher.apply([try PatchFiles.file(other)], to: instance).outcome))
        #expect(refusal.reason == .replacedByOtherPatch)
        #expect(refusal.sentence.contains("FIX-one"))
        try #require(patcher.undo("FIX-one", in: instance).outcome == .done)
        #expect(program.wrongAnswers == 0)
    }
}
