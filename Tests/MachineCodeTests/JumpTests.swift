//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import MachineCode
import Testing

@Suite("Jumps")
struct JumpTests {
    static let places: [(UInt64, UInt64)] = [
        (0x10_0000, 0x10_0000), (0x10_0000, 0x10_0005), (0x10_0000, 0xF_FF00), (0x7000_0000, 0x7123_4567),
        (0x9000_0000, 0x1000_0005), (0x1000_0000, 0x9000_0004),
    ]

    @Test("As the assembler encodes and the disassembler reads them", arguments: places)
    func assembler(from: UInt64, to: UInt64) throws {
        let directory = try TemporaryDirectory()
        let bytes = try Jump.bytes(from: from, to: to)
        #expect(bytes == (try directory.assemble("jmp 0x\(String(to, radix: 16))", at: from)))
        #expect(Jump.destination(of: bytes, at: from) == to)
        let text = try directory.run(
            "/usr/bin/objdump",
            [
                "-D", "-b", "binary", "-m", "i386:x86-64", "--adjust-vma=0x" + String(from, radix: 16),
                try directory.write(bytes, as: "bytes"),
            ])
        #expect(text.contains("jmp    0x" + String(to, radix: 16) + "\n"))
    }

    @Test("The ends of the reach")
    func reach() throws {
        let middle: UInt64 = 0x1_0000_0000
        // The displacement counts from the end of the instruction: -2^31 to 2^31 - 1.
        #expect(try Jump.bytes(from: middle, to: middle + 5 + 0x7FFF_FFFF) == [0xE9, 0xFF, 0xFF, 0xFF, 0x7F])
        #expect(try Jump.bytes(from: middle, to: middle + 5 - 0x8000_0000) == [0xE9, 0, 0, 0, 0x80])
        #expect(throws: MachineCodeError.self) { try Jump.bytes(from: middle, to: middle + 5 + 0x8000_0000) }
        #expect(throws: MachineCodeError.self) { try Jump.bytes(from: middle, to: middle + 4 - 0x8000_0000) }
        #expect(throws: MachineCodeError.self) { try Jump.bytes(from: 0, to: .max) }
        #expect(throws: MachineCodeError.self) { try Jump.bytes(from: .max - 8, to: 0x100) }
        #expect(Jump.destination(of: [0xE9, 0, 0, 0], at: 0) == nil)
        #expect(Jump.destination(of: [0xE8, 0, 0, 0, 0], at: 0) == nil)
    }

    @Test(
        "Every corner of an image reaches every corner of the target, and one page further does not",
        arguments: [
            (0x7F00_0000_0000, 0x7F00_0060_0000, 0x4000), (0x40_0000, 0x50_0000, 0x1000),
            (0x7FFF_FF00_0000, 0x7FFF_FFFF_F000, 0x3123), (0x1_0000, 0x1_1000, 1),
        ] as [(UInt64, UInt64, UInt64)])
    func placement(start: UInt64, end: UInt64, size: UInt64) throws {
        let range = try #require(Reach.placement(imageSize: size, target: start..<end))
        func reaches(_ place: UInt64) -> Bool {
            Reach.displacement(from: place, to: end) != nil && Reach.displacement(from: place + size, to: start) != nil
                && Reach.displacement(from: start, to: place + size) != nil
                && Reach.displacement(from: end, to: place) != nil
        }
        #expect(range.lowerBound % 4096 == 0)
        #expect(range.upperBound % 4096 == 0)
        #expect(reaches(range.lowerBound))
        #expect(reaches(range.upperBound))
        #expect(range.lowerBound == 0x1_0000 || !reaches(range.lowerBound - 4096))
        #expect(range.upperBound + 4096 + size > Reach.userSpaceEnd || !reaches(range.upperBound + 4096))
        let narrow = try #require(Reach.placement(imageSize: size, target: start..<end, margin: 0x10_0000))
        #expect(range.contains(narrow.lowerBound))
        #expect(range.contains(narrow.upperBound))
        #expect(narrow != range)
    }

    @Test("No place")
    func noPlacement() {
        #expect(Reach.placement(imageSize: 4096, target: 0x1000..<0x1_0000_0000) == nil)
        #expect(Reach.placement(imageSize: .max, target: 0x1000..<0x2000) == nil)
        #expect(Reach.placement(imageSize: 1, target: 0x1000..<UInt64.max) == nil)
        #expect(Reach.placement(imageSize: 1, target: 0x1000..<0x2000, margin: .max) == nil)
        #expect(Reach.placement(imageSize: 1, target: 0x1000..<0x2000, alignment: 3) == nil)
    }

    @Test("What lies at an entry")
    func entryState() throws {
        let address: UInt64 = 0x5555_0000
        let original: [UInt8] = [0x41, 0x57, 0x49, 0x89, 0xD7, 0x90, 0xC3]
        func state(_ bytes: [UInt8], gate: UInt64? = 0x5600_0000) -> EntryState {
            EntryState.classify(bytes, at: address, original: original, gate: gate, replacement: 0x5600_0100)
        }
        let gate = try Jump.bytes(from: address, to: 0x5600_0000) + [0x90, 0xC3]
        let replacement = try Jump.bytes(from: address, to: 0x5600_0100) + [0x90, 0xC3]
        #expect(state(original) == .original)
        #expect(state(gate) == .jumpToGate)
        #expect(state(gate, gate: nil) == .other)
        #expect(state(replacement) == .jumpToReplacement)
        #expect(state(try Jump.bytes(from: address, to: 0x5600_0101) + [0x90, 0xC3]) == .other)
        #expect(state([0xCC] + original.dropFirst()) == .other)
        #expect(state(Array(gate.dropLast()) + [0xCC]) == .other)
        #expect(state(Array(gate.prefix(5))) == .other)
        #expect(state([]) == .other)
        for index in original.indices {
            var flipped = original
            flipped[index] ^= 1
            #expect(state(flipped) == .other)
        }
    }
}
