//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import PatchPlan
import Testing

/// Data that a transaction sets: written before anything switches, taken back after everything has switched back.
@Suite struct FixUpTests {
    private func prepared(_ requests: [MemberRequest]) throws -> (SimulatedMemory, [PatchMemory]) {
        var memory = SimulatedMemory()
        let contents = try Fixture.contents(of: requests)
        for content in contents {
            memory.put(content.bytes, at: content.memory.address)
            for fixUp in content.memory.fixUps { memory.put(fixUp.bytes(fixUp.from), at: fixUp.address) }
        }
        for request in requests {
            for entry in request.patch.entries { memory.put(entry.expected, at: entry.address + request.loadBias) }
        }
        return (memory, contents.map(\.memory))
    }

    private func twoObjects(gateless: Set<Int> = []) -> [MemberRequest] {
        [
            Fixture.request(Fixture.patch("one", gateless: gateless, fixUps: Fixture.fixUps())),
            Fixture.request(
                Fixture.patch("two", base: 0x9000, fixUps: Fixture.fixUps(at: 0x4000)), bias: 0x7f00_1000_0000),
        ]
    }

    private func states(_ memory: SimulatedMemory, _ members: [PatchMemory]) -> [PlacedFixUp.State] {
        memory.found(members).fixUpStates
    }

    /// Writes one by one. After each: no entry is new unless all data are set, and the data that are set are the
    /// first ones.
    private func execute(
        _ plan: SwitchPlan, on memory: inout SimulatedMemory, _ members: [PatchMemory], upTo limit: Int = .max
    ) {
        for write in plan.writes.prefix(limit) {
            #expect(memory.read(write.address, write.before.count) == write.before)
            memory.put(write.after, at: write.address)
            let isNew = members.flatMap(\.entries).map { memory.executesNew($0, state: members[0].stateAddress) }
            let states = states(memory, members)
            #expect(!isNew.contains(nil))
            if isNew.contains(true) { #expect(states.allSatisfy { $0 == .to }, "\(write.phase)") }
            let first = states.prefix { $0 == .to }.count
            #expect(states.dropFirst(first).allSatisfy { $0 == .from }, "\(write.phase)")
        }
    }

    @Test func dataAreSetFirstAndTakenBackLast() throws {
        var (memory, members) = try prepared(twoObjects())
        let before = memory
        let apply = try SwitchPlan(memory.found(members), direction: .apply)
        #expect(
            apply.writes.map(\.phase) == [.history] + Array(repeating: .fixUp, count: 6)
                + Array(repeating: .gates, count: 4) + [.commit] + Array(repeating: .settle, count: 4))
        #expect(apply.writes.filter { $0.phase == .fixUp }.map(\.after.count) == [8, 1, 4, 8, 1, 4])
        execute(apply, on: &memory, members)
        #expect(memory.found(members).state == .applied)
        let slot = members[0].fixUps[0]
        #expect(memory.word(slot.address) == members[0].imageAddress + 64)
        let undo = try SwitchPlan(memory.found(members), direction: .undo)
        #expect(
            undo.writes.map(\.phase) == Array(repeating: .gates, count: 4) + [.commit]
                + Array(repeating: .settle, count: 4) + Array(repeating: .fixBack, count: 6))
        #expect(undo.writes.suffix(6).map(\.address) == apply.writes[1...6].map(\.address).reversed())
        execute(undo, on: &memory, members)
        #expect(memory.found(members).state == .undone)
        for member in members {
            for entry in member.entries { #expect(memory.read(entry.address, 40) == before.read(entry.address, 40)) }
            for fixUp in member.fixUps { #expect(memory.word(fixUp.address) == before.word(fixUp.address)) }
        }
    }

    @Test func everyPrefixTellsItsState() throws {
        var (memory, members) = try prepared(twoObjects())
        var states: [TransactionState] = [memory.found(members).state]
        for direction in [Direction.apply, .undo] {
            for write in try SwitchPlan(memory.found(members), direction: direction).writes {
                memory.put(write.after, at: write.address)
                states.append(memory.found(members).state)
            }
        }
        let up = Array(repeating: TransactionState.halfGated, count: 10)
        let direct = Array(repeating: TransactionState.halfDirect, count: 3)
        #expect(
            states == [.prepared, .undone] + up + [.committed] + direct + [.applied] + direct + [.committed] + up
                + [.undone])
    }

    /// Killed after any number of writes, in either direction, any number of times.
    @Test(arguments: 0..<40 as Range<UInt64>) func killedAnywhere(seed: UInt64) throws {
        var random = SplitMix(seed)
        // A single entry may be without a gate, and is written alone.
        let requests =
            seed % 4 == 0
            ? [Fixture.request(Fixture.patch("one", entries: 1, gateless: [0], fixUps: Fixture.fixUps()))]
            : twoObjects()
        var (memory, members) = try prepared(requests)
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

    private func refused(_ found: FoundTransaction, _ direction: Direction) -> Refusal? {
        do throws(Refusal) {
            _ = try SwitchPlan(found, direction: direction)
            return nil
        } catch {
            return error
        }
    }

    @Test func anythingElseIsRefusedWithNameAddressAndValues() throws {
        var (memory, members) = try prepared(twoObjects())
        let count = members[1].fixUps[2]
        memory.put([8], at: count.address)
        let refusal = try #require(refused(memory.found(members), .apply))
        #expect(refusal.reason == .fixupMismatch)
        for part in ["count", String(count.address, radix: 16), "0x8", "0x7", "0x9"] {
            #expect(refusal.sentence.contains(part), "\(part): \(refusal.sentence)")
        }
        // Nothing is in: whose value it is does not matter.
        #expect(memory.found(members).state == .prepared)
        memory.put([7], at: count.address)
        execute(try SwitchPlan(memory.found(members), direction: .apply), on: &memory, members)
        memory.put([8], at: count.address)
        #expect(memory.found(members).state == .altered)
        #expect(self.refused(memory.found(members), .undo)?.reason == .fixupMismatch)
        let found = memory.found(members)
        let differences = found.differences(
            images: members.map { memory.read($0.imageAddress, Int($0.imageSize)) },
            functions: members.flatMap(\.entries).map { memory.read($0.address, Int($0.size)) }, sha256: sha256)
        #expect(differences.map(\.kind) == [.dataAltered])
        #expect(differences.map(\.function) == ["count"])
        #expect(differences.map(\.identifier) == [members[1].labels.identifier])
        // Bytes that could not be read are not what they must be.
        var unread = found
        unread.fixUpBytes = []
        #expect(unread.state == .altered)
        #expect(refused(unread, .undo)?.reason == .fixupMismatch)
    }

    @Test func whatIsTakenBackBelongsToTheProgramAgain() throws {
        var (memory, members) = try prepared(twoObjects())
        for direction in [Direction.apply, .undo] {
            execute(try SwitchPlan(memory.found(members), direction: direction), on: &memory, members)
        }
        memory.put([77], at: members[0].fixUps[2].address)
        #expect(memory.found(members).state == .undone)
        // Half-way it does matter.
        memory.put([1], at: members[0].fixUps[1].address)
        #expect(memory.found(members).state == .altered)
    }

    @Test func dataThatAnotherPatchSetsNow() throws {
        var (memory, members) = try prepared([Fixture.request(Fixture.patch("one", fixUps: Fixture.fixUps()))])
        for direction in [Direction.apply, .undo] {
            execute(try SwitchPlan(memory.found(members), direction: direction), on: &memory, members)
        }
        // The same data, other functions.
        let later = Fixture.request(Fixture.patch("later", base: 0x8000, fixUps: Fixture.fixUps()))
        let content = try PatchMemory.content(
            of: later, at: 0x7eff_ff00_0000, members: [0x7eff_ff00_0000], verdict: .quiescent,
            transaction: [UInt8](repeating: 7, count: 32), sha256: sha256)
        memory.put(content.bytes, at: content.memory.address)
        for entry in later.patch.entries { memory.put(entry.expected, at: entry.address + later.loadBias) }
        execute(try SwitchPlan(memory.found([content.memory]), direction: .apply), on: &memory, [content.memory])
        let both = [memory.found(members), memory.found([content.memory])]
        #expect(both[1].state == .applied)
        #expect(both.withoutSuperseded == [both[1]])
    }

    @Test func newCodeThatDataLeadToIsGuarded() throws {
        var (memory, members) = try prepared([Fixture.request(Fixture.patch("one", fixUps: Fixture.fixUps()))])
        let writes = try SwitchPlan(memory.found(members), direction: .apply).writes
        // Killed when the data were set and nothing else was.
        for write in writes.prefix(4) { memory.put(write.after, at: write.address) }
        let place = members[0].imageAddress + 70
        #expect(GuardedRanges(memory.found(members), direction: .undo).hit(place) != nil)
        memory.put(members[0].fixUps[0].bytes(members[0].fixUps[0].from), at: members[0].fixUps[0].address)
        memory.put([0], at: members[0].fixUps[1].address)
        memory.put([7], at: members[0].fixUps[2].address)
        #expect(GuardedRanges(memory.found(members), direction: .undo).hit(place) == nil)
    }

    @Test func headersKeepThem() throws {
        let content = try #require(
            try Fixture.contents(of: [Fixture.request(Fixture.patch("one", fixUps: Fixture.fixUps()))]).first)
        let size = Int(content.memory.headerSize)
        let again = try PatchMemory(
            decoding: Array(content.bytes[..<size]), at: content.memory.address, sha256: sha256)
        #expect(again == content.memory)
        #expect(again.fixUps.map(\.name) == ["slot", "flag", "count"])
        #expect(again.fixUps.map(\.from) == [0x7f00_0000_1040, 0, 7])
        #expect(again.fixUps.map(\.to) == [again.imageAddress + 64, 1, 9])
    }

    /// A header whose checksum is right but whose fix-ups cannot be.
    @Test func hostileHeaders() throws {
        let patch = Fixture.patch("one", entries: 1, fixUps: Fixture.fixUps())
        let content = try #require(try Fixture.contents(of: [Fixture.request(patch)]).first)
        let size = Int(content.memory.headerSize)
        // 288 fixed, one member, one entry with one mask: there the fix-ups begin.
        let start = 288 + 8 + 96 + 8
        func decode(_ change: (inout [UInt8]) -> Void) throws -> PatchMemory {
            var bytes = Array(content.bytes[..<size])
            change(&bytes)
            for index in 256..<288 { bytes[index] = 0 }
            var cleared = bytes
            for index in 24..<40 { cleared[index] = 0 }
            for (index, byte) in sha256(cleared).enumerated() { bytes[256 + index] = byte }
            return try PatchMemory(decoding: bytes, at: content.memory.address, sha256: sha256)
        }
        #expect(try decode { _ in } == content.memory)
        let changes: [(String, (inout [UInt8]) -> Void)] = [
            ("count", { $0[188] = 17 }), ("fewer", { $0[188] = 2 }), ("more", { $0[188] = 4 }),
            ("reserved", { $0[190] = 1 }), ("size", { $0[start + 24] = 3 }), ("no size", { $0[start + 24] = 0 }),
            ("padding", { $0[start + 31] = 1 }), ("alignment", { $0[start] |= 4 }),
            ("end of the address space", { for index in 0..<8 { $0[start + index] = index == 0 ? 0xf8 : 0xff } }),
            ("too large", { $0[start + 32 + 9] = 1 }), ("too large", { $0[start + 32 + 17] = 1 }),
            ("no change", { $0[start + 32 + 16] = 0 }),
            ("twice", { for index in 0..<8 { $0[start + 64 + index] = $0[start + 32 + index] } }),
            ("in a function", { for index in 0..<8 { $0[start + index] = $0[296 + index] } }),
        ]
        for (name, change) in changes {
            #expect(throws: PatchMemoryError.self, "\(name)") { try decode(change) }
        }
    }

    private func reason(_ requests: [MemberRequest]) -> Refusal.Reason? {
        do throws(Refusal) {
            try requests.check(applied: [])
            return nil
        } catch {
            return error.reason
        }
    }

    @Test func requestsAreChecked() throws {
        func patch(_ change: (inout Patch) -> Void) -> [MemberRequest] {
            var patch = Fixture.patch("one", fixUps: Fixture.fixUps())
            change(&patch)
            return [Fixture.request(patch)]
        }
        #expect(reason(patch { _ in }) == nil)
        #expect(reason(twoObjects()) == nil)
        #expect(reason(patch { $0.verdict = .automatic }) == .imageInvalid)
        #expect(reason(patch { $0.fixUps[0].address += 4 }) == .imageInvalid)
        #expect(reason(patch { $0.fixUps[0].address = .max - 7 }) == .imageInvalid)
        #expect(reason(patch { $0.fixUps[2].address = 0x5020 }) == .imageInvalid)
        #expect(reason(patch { $0.fixUps = Array(repeating: $0.fixUps[0], count: 17) }) == .imageInvalid)
        // Two patches that set the same datum.
        let both = [
            Fixture.request(Fixture.patch("one", fixUps: Fixture.fixUps())),
            Fixture.request(Fixture.patch("two", base: 0x9000, fixUps: Fixture.fixUps())),
        ]
        #expect(reason(both) == .imageInvalid)
        // An address and a number that are the same in this process.
        let same = Fixture.request(
            Fixture.patch(
                "one",
                fixUps: [
                    FixUp(
                        name: "slot", address: 0x5000, size: .eight, from: .address(.target(0x1040)),
                        to: .number(0x7f00_0000_1040), because: "because")
                ]))
        #expect(throws: Refusal.self) { try Fixture.contents(of: [same]) }
    }
}
