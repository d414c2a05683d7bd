//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import PatchPlan
import Testing

@Suite struct PatchMemoryTests {
    private func content(_ patch: Patch = Fixture.patch("one", entries: 3, gateless: [1], requires: ["two"])) throws
        -> PatchMemoryContent
    {
        try #require(try Fixture.contents(of: [Fixture.request(patch)]).first)
    }

    private func decode(_ bytes: [UInt8], at address: UInt64) throws -> PatchMemory {
        let size = try PatchMemory.headerSize(prefix: Array(bytes.prefix(16)))
        guard size <= bytes.count else { throw PatchMemoryError(.truncated, "") }
        return try PatchMemory(decoding: Array(bytes[..<size]), at: address, sha256: sha256)
    }

    @Test func whatIsWrittenIsRead() throws {
        let content = try content()
        #expect(content.bytes.count == content.memory.size)
        #expect(try decode(content.bytes, at: content.memory.address) == content.memory)
        #expect(Array(content.bytes.prefix(8)) == Array("MOULTMEM".utf8))
        #expect(content.memory.labels.requires == ["two"])
        #expect(content.memory.entries.map(\.name) == ["one_0", "one_1", "one_2"])
        #expect(content.memory.entries[1].gate == nil)
        #expect(content.bytes.count <= PatchMemory.maximumSize)
        #expect(content.memory.headerSize % 64 == 0)
    }

    @Test func theStateWordsAreNotPartOfTheChecksum() throws {
        let content = try content()
        var bytes = content.bytes
        for offset in 24..<40 { bytes[offset] = 0xFF }
        #expect(try decode(bytes, at: content.memory.address) == content.memory)
    }

    @Test func everyFlippedByteIsNoticed() throws {
        let content = try content()
        for offset in 0..<Int(content.memory.headerSize) where !(24..<40).contains(offset) {
            for bit in [UInt8(1), 0x80] {
                var bytes = content.bytes
                bytes[offset] ^= bit
                #expect(throws: PatchMemoryError.self, "byte \(offset)") {
                    try decode(bytes, at: content.memory.address)
                }
            }
        }
    }

    /// A header whose checksum is right but whose fields lie must throw or be sound, never trap.
    @Test func hostileFieldsWithARightChecksum() throws {
        let content = try content()
        let size = Int(content.memory.headerSize)
        var random = SplitMix(7)
        var accepted = 0
        for round in 0..<4000 {
            var bytes = Array(content.bytes[..<size])
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let offset = Int.random(in: 8..<size, using: &random)
                bytes[offset] = round % 2 == 0 ? .max : UInt8.random(in: 0...255, using: &random)
            }
            for index in 256..<288 { bytes[index] = 0 }
            var cleared = bytes
            for index in 24..<40 { cleared[index] = 0 }
            for (index, byte) in sha256(cleared).enumerated() { bytes[256 + index] = byte }
            if let memory = try? decode(bytes, at: content.memory.address) {
                accepted += 1
                #expect(memory.size <= PatchMemory.maximumSize)
                for entry in memory.entries {
                    #expect(memory.range.contains(entry.replacement))
                    if let gate = entry.gate { #expect(memory.range.contains(gate)) }
                }
            }
        }
        #expect(accepted > 0 && accepted < 4000)
    }

    @Test func truncatedHeaders() throws {
        let content = try content()
        for count in 0..<Int(content.memory.headerSize) {
            #expect(throws: PatchMemoryError.self) {
                try decode(Array(content.bytes[..<count]), at: content.memory.address)
            }
        }
        #expect(throws: PatchMemoryError.self) { try decode(content.bytes, at: content.memory.address + 0x1_0000) }
    }

    @Test func transactionsAreNamedByTheirMembers() {
        let one = Fixture.request(Fixture.patch("one"))
        let two = Fixture.request(Fixture.patch("two"))
        var moved = two
        moved.loadBias += 0x1000
        let name = MemberRequest.transaction(of: [one, two], sha256: sha256)
        #expect(name == MemberRequest.transaction(of: [two, one], sha256: sha256))
        #expect(name != MemberRequest.transaction(of: [one, moved], sha256: sha256))
        #expect(name != MemberRequest.transaction(of: [one], sha256: sha256))
        #expect([one, two].inTransactionOrder == [two, one].inTransactionOrder)
    }

    @Test func sizeIsTheSameAsWhatIsWritten() throws {
        for count in 1...20 {
            let requests = (0..<3).map { Fixture.request(Fixture.patch("p\($0)", entries: count)) }
            let contents = try Fixture.contents(of: requests)
            for (request, content) in zip(requests.inTransactionOrder, contents) {
                #expect(try PatchMemory.size(of: request, memberCount: 3) == content.bytes.count)
            }
        }
    }
}
