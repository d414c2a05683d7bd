//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import PatchPlan
import ProcessInspection
import ProcessPatching
import TestSupport
import Testing

@Suite(.serialized) struct CycleTests {
    /// Apply, verify, use, undo, verify: a hundred times, while the process calls the code all the time.
    @Test func aHundredTimes() throws {
        let workshop = try Workshop.shared.get()
        // Half of the time is spent in the functions: without a check of the stacks this fails.
        let program = try Halves(threads: 4, turns: 1000, workshop: workshop)
        let files = try PatchFiles.halves(workshop)
        let patcher = Patcher(kernel: .current())
        let instance = try program.instance
        #expect(program.makesProgress())
        var longest: Int64 = 0
        var mappings = 0
        var stops = 0
        for round in 0..<100 {
            let applied = patcher.apply(files, to: instance)
            try #require(applied.outcome == .done, "round \(round): \(applied.outcome)")
            stops += applied.stops
            longest = max(longest, applied.longestStop)
            #expect(applied.transaction?.state == .applied)
            let whole = patcher.verify(files, in: instance)
            #expect(whole.isWhole, "round \(round): \(whole.differences)")
            let after = program.answersNow()
            try #require(after == (false, true), "round \(round): no changed answers")

            let undone = patcher.undo("FIX-one", in: instance)
            try #require(undone.outcome == .done, "round \(round): \(undone.outcome)")
            #expect(undone.transaction?.state == .undone)
            let gone = patcher.verify(nil, in: instance)
            #expect(gone.differences.isEmpty && gone.transactions.isEmpty)
            let before = program.answersNow()
            try #require(before == (true, false), "round \(round): not the old answers")
            try #require(program.wrongAnswers == 0)
            // The memory is used again.
            let now = try ProcessHandle(instance).mappings().count
            if round == 0 { mappings = now }
            #expect(now <= mappings)
        }
        #expect(program.wrongAnswers == 0 && program.errors == 0)
        #expect(program.newAnswers > 0 && program.oldAnswers > 0)
        print(
            "cycles: \(stops) stops for 100 applies, longest stop \(longest / 1000) us, \(program.oldAnswers) old, \(program.newAnswers) new answers"
        )
    }
}
