//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import PatchPlan
import Testing

@Suite struct SwitchPlanTests {
    private func prepared(_ requests: [MemberRequest]) throws -> (SimulatedMemory, [PatchMemory]) {
        var memory = SimulatedMemory()
        let contents = try Fixture.contents(of: requests)
        for content in contents { memory.put(content.bytes, at: content.memory.address) }
        for request in requests {
            for entry in request.patch.entries { memory.put(entry.expected, at: entry.address + request.loadBias) }
        }
        return (memory, contents.map(\.memory))
    }

    private func twoObjects() -> [MemberRequest] {
        [
            Fixture.request(Fixture.patch("one")),
            Fixture.request(Fixture.patch("two", base: 0x9000), bias: 0x7f00_1000_0000),
        ]
    }

    /// Executes writes one by one; after each, all entries must do the same, old before the commit, new after it.
    @discardableResult
    private func execute(
        _ plan: SwitchPlan, on memory: inout SimulatedMemory, _ members: [PatchMemory], upTo limit: Int = .max
    ) -> Int {
        var changes = 0
        var last: Set<Bool?> = Set(
            members.flatMap(\.entries).map { memory.executesNew($0, state: members[0].stateAddress) })
        #expect(last.count == 1)
        for write in plan.writes.prefix(limit) {
            #expect(memory.read(write.address, write.before.count) == write.before)
            #expect(write.before.count == write.after.count)
            memory.put(write.after, at: write.address)
            let now = Set(members.flatMap(\.entries).map { memory.executesNew($0, state: members[0].stateAddress) })
            #expect(now.count == 1 && !now.contains(nil), "a mixture after a write of phase \(write.phase)")
            if now != last {
                changes += 1
                #expect(write.phase == .commit)
            }
            last = now
        }
        return changes
    }

    @Test func applyAndUndoCommitWithOneWrite() throws {
        var (memory, members) = try prepared(twoObjects())
        #expect(memory.found(members).state == .prepared)
        let before = memory
        let apply = try SwitchPlan(memory.found(members), direction: .apply)
        // History, four gates, one commit, four jumps.
        #expect(
            apply.writes.map(\.phase) == [.history, .gates, .gates, .gates, .gates, .commit]
                + Array(repeating: .settle, count: 4))
        #expect(execute(apply, on: &memory, members) == 1)
        #expect(memory.found(members).state == .applied)
        #expect(try SwitchPlan(memory.found(members), direction: .apply).writes.isEmpty)
        let undo = try SwitchPlan(memory.found(members), direction: .undo)
        #expect(execute(undo, on: &memory, members) == 1)
        #expect(memory.found(members).state == .undone)
        for entry in members.flatMap(\.entries) {
            #expect(memory.read(entry.address, 40) == before.read(entry.address, 40))
        }
        #expect(memory.word(members[0].stateAddress) == 0)
    }

    /// Killed after any number of writes, in either direction, any number of times: never a mixture, and each state
    /// can be completed either way.
    @Test(arguments: 0..<40 as Range<UInt64>) func killedAnywhere(seed: UInt64) throws {
        var random = SplitMix(seed)
        var (memory, members) = try prepared(twoObjects())
        for _ in 0..<30 {
            let direction: Direction = Bool.random(using: &random) ? .apply : .undo
            let plan = try SwitchPlan(memory.found(members), direction: direction)
            execute(plan, on: &memory, members, upTo: Int.random(in: 0...plan.writes.count, using: &random))
            #expect(![.altered, .mixed, .absent].contains(memory.found(members).state))
            for end in [Direction.apply, .undo] {
                var copy = memory
                execute(try SwitchPlan(copy.found(members), direction: end), on: &copy, members)
                #expect(SwitchPlan.isComplete(copy.found(members), direction: end))
            }
        }
    }

    /// Every prefix of both ways, enumerated, tells its state.
    @Test func statesOfEveryPrefix() throws {
        let (start, members) = try prepared(twoObjects())
        var memory = start
        var states: [TransactionState] = [memory.found(members).state]
        for direction in [Direction.apply, .undo] {
            for write in try SwitchPlan(memory.found(members), direction: direction).writes {
                memory.put(write.after, at: write.address)
                states.append(memory.found(members).state)
            }
        }
        #expect(
            states == [.prepared, .undone] + Array(repeating: .halfGated, count: 4) + [.committed]
                + Array(repeating: .halfDirect, count: 3) + [.applied] + Array(repeating: .halfDirect, count: 3)
                + [.committed] + Array(repeating: .halfGated, count: 4) + [.undone])
    }

    /// Entries without a gate change one by one, but only after the commit, and the rest still switches at once.
    @Test func gatelessEntries() throws {
        let patch = Fixture.patch("mixed", entries: 3, gateless: [1], verdict: .automatic)
        var (memory, members) = try prepared([Fixture.request(patch)])
        let apply = try SwitchPlan(memory.found(members), direction: .apply)
        for (index, write) in apply.writes.enumerated() {
            memory.put(write.after, at: write.address)
            if write.address == members[0].entries[1].address { #expect(write.phase == .settle) }
            var copy = memory
            for again in try SwitchPlan(copy.found(members), direction: .undo).writes {
                copy.put(again.after, at: again.address)
            }
            #expect(SwitchPlan.isComplete(copy.found(members), direction: .undo), "from prefix \(index)")
        }
        #expect(memory.found(members).state == .applied)
        for write in try SwitchPlan(memory.found(members), direction: .undo).writes {
            memory.put(write.after, at: write.address)
        }
        #expect(memory.found(members).state == .undone)
    }

    /// An object that was unloaded and loaded again has its original bytes while the state word still says new.
    @Test func objectsThatWereLoadedAgain() throws {
        var (memory, members) = try prepared(twoObjects())
        for write in try SwitchPlan(memory.found(members), direction: .apply).writes {
            memory.put(write.after, at: write.address)
        }
        for entry in members.flatMap(\.entries) { memory.put(entry.original, at: entry.address) }
        #expect(memory.found(members).state == .mixed)
        var undone = memory
        #expect(execute(try SwitchPlan(undone.found(members), direction: .undo), on: &undone, members) == 0)
        #expect(undone.found(members).state == .undone)
        #expect(execute(try SwitchPlan(memory.found(members), direction: .apply), on: &memory, members) == 1)
        #expect(memory.found(members).state == .applied)
    }

    @Test func whatOthersWroteIsRefused() throws {
        var (memory, members) = try prepared(twoObjects())
        let entry = members[1].entries[0]
        memory.put([0xE9, 1, 2, 3, 4], at: entry.address)
        #expect(memory.found(members).state == .altered)
        #expect { try SwitchPlan(memory.found(members), direction: .apply) } throws: {
            ($0 as? Refusal)?.reason == .alteredByOthers
        }
        memory.put(entry.original, at: entry.address)
        // Behind the jump but inside the bytes that are kept.
        memory.put([entry.original[9] ^ 1], at: entry.address + 9)
        #expect(memory.found(members).state == .altered)
        memory.put(entry.original, at: entry.address)
        memory.put([2], at: members[0].stateAddress)
        #expect(throws: Refusal.self) { try SwitchPlan(memory.found(members), direction: .undo) }
    }
}
