//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import PatchPlan
import Testing

@Suite struct GuardedRangesTests {
    private func found(_ patch: Patch, state: UInt64 = 0, direct: Bool = false) throws -> FoundTransaction {
        let memory = try #require(try Fixture.contents(of: [Fixture.request(patch)]).first).memory
        return FoundTransaction(
            members: [memory], stateWord: state, historyWord: state,
            entryBytes: try memory.entries.map { entry in
                direct ? try entry.jumpToReplacement() + entry.original.dropFirst(5) : entry.original
            })
    }

    @Test func automaticLooksAtOverwrittenBytesOnly() throws {
        let found = try found(Fixture.patch("one", verdict: .automatic))
        let guarded = GuardedRanges(found, direction: .apply)
        let entry = found.entries[0]
        #expect(guarded.hit(entry.address) == nil)
        for offset in 1..<5 as Range<UInt64> { #expect(guarded.hit(entry.address + offset)?.kind == .overwritten) }
        #expect(guarded.hit(entry.address + 5) == nil)
        #expect(guarded.hit(entry.replacement.lower + 1) == nil)
    }

    @Test func quiescentLooksAtWhatGoesOutOfUse() throws {
        let before = try found(Fixture.patch("one"))
        let entry = before.entries[1]
        let apply = GuardedRanges(before, direction: .apply)
        #expect(apply.hit(entry.address) == nil)
        #expect(apply.hit(entry.address + 39)?.name == "one_1")
        // A call as last instruction returns to the byte behind.
        #expect(apply.hit(entry.address + 40)?.kind == .function)
        #expect(apply.hit(entry.address + 41) == nil)
        #expect(apply.hit(try #require(entry.gate).lower + 3)?.kind == .gate)
        #expect(apply.hit(entry.replacement.lower + 4) == nil)

        let after = try found(Fixture.patch("one"), state: 1, direct: true)
        let undo = GuardedRanges(after, direction: .undo)
        #expect(undo.hit(entry.replacement.lower + 4)?.kind == .function)
        #expect(undo.hit(try #require(entry.gate).lower + 3)?.kind == .gate)
        #expect(undo.hit(entry.address + 20) == nil)
        #expect(undo.hit(entry.address + 2)?.kind == .overwritten)
    }

    @Test func stacksAreScannedWordByWord() throws {
        let found = try found(Fixture.patch("one"))
        let guarded = GuardedRanges(found, direction: .apply)
        var stack = [UInt8](repeating: 0x7f, count: 4096)
        #expect(guarded.hit(stack: stack) == nil)
        let address = found.entries[0].address + 17
        for place in [0, 8, 2048, 4088] {
            var hit = stack
            for index in 0..<8 { hit[place + index] = UInt8(truncatingIfNeeded: address >> (8 * index)) }
            #expect(guarded.hit(stack: hit)?.name == "one_0")
        }
        // Not aligned: no return address.
        for index in 0..<8 { stack[100 + index] = UInt8(truncatingIfNeeded: address >> (8 * index)) }
        #expect(guarded.hit(stack: stack) == nil)
        #expect(guarded.hit(stack: []) == nil)
    }
}
