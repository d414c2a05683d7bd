//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Testing
import Unwinding

/// Corrupt input: an error or wrong rules, never a trap (which would end the test run) and never an endless loop.
@Suite("Hostile unwind information")
struct HostileTests {
    /// Every address readable, with contents that lead anywhere.
    struct WildMemory: MemoryReader {
        func load(_ address: UInt64, count: Int) -> UInt64? {
            guard (1...8).contains(count) else { return nil }
            var generator = SeededGenerator(state: address)
            return generator.next() & 0xFFFF_FFFF
        }
    }

    struct OneTable: FrameTableProvider {
        var located: LocatedFrameTable
        func table(containing address: UInt64) -> LocatedFrameTable? { located }
    }

    @Test("Random corruption", arguments: 0..<8 as Range<UInt64>)
    func corruption(seed: UInt64) throws {
        let object = try TestObject(path: "/bin/ls")
        let section = try #require(object.sections[".eh_frame"])
        let header = try #require(object.sections[".eh_frame_hdr"])
        var generator = SeededGenerator(state: seed)
        var errors = 0
        var tables = 0
        var results = 0
        for round in 0..<40 {
            var bytes = section.bytes
            for _ in 0...(round % 20) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            if round % 8 == 7 { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &generator)) }
            var headerBytes = header.bytes
            if round % 2 == 1 {
                headerBytes[Int.random(in: 0..<headerBytes.count, using: &generator)] ^= 0x55
            }
            var made: [FrameTable] = []
            do throws(UnwindError) { made.append(try FrameTable(section: bytes, address: section.address)) } catch {
                errors += 1
            }
            do throws(UnwindError) {
                made.append(
                    try FrameTable(section: bytes, header: FrameHeader(headerBytes, address: header.address)))
            } catch { errors += 1 }
            for table in made {
                tables += 1
                results += exercise(table, generator: &generator)
            }
        }
        // Both outcomes must have been seen, else nothing was tested.
        #expect(errors > 0)
        #expect(tables > 0)
        #expect(results > 0)
    }

    private func exercise(_ table: FrameTable, generator: inout SeededGenerator) -> Int {
        var results = 0
        for index in stride(from: 0, to: table.count, by: 3) {
            guard let description = try? table.description(index: index) else { continue }
            let size = max(description.size, 1)
            let address = description.start &+ UInt64.random(in: 0..<size, using: &generator)
            if (try? table.rules(at: address, of: description)) != nil { results += 1 }
            var registers = RegisterValues()
            for register in RegisterValues.Number.allCases {
                registers[register] = UInt64.random(in: 0...0xFFFF_FFFF, using: &generator)
            }
            registers[.rip] = address
            let provider = OneTable(located: LocatedFrameTable(table: table, bias: 0))
            var backtraceUnwinder = Unwinder(memory: WildMemory(), tables: provider, frameLimit: 50)
            let backtrace = backtraceUnwinder.unwind(registers)
            #expect(backtrace.frames.count <= 50)
        }
        return results
    }

    @Test("A search table that claims more lines than it has")
    func hugeHeader() {
        // udata8 as the encoding of the count
        let header: [UInt8] = [1, 0x1B, 0x04, 0x3B, 0, 0, 0, 0] + [UInt8](repeating: 0xFF, count: 8)
        #expect(throws: UnwindError.self) { try FrameHeader(header, address: 0x1000) }
        #expect(throws: UnwindError.self) { try FrameHeader([], address: 0x1000) }
        #expect(throws: UnwindError.self) { try FrameHeader([1, 0xFF, 0xFF, 0xFF], address: 0x1000) }
        #expect(throws: UnwindError.self) { try FrameHeader([2, 0x1B, 0x03, 0x3B], address: 0x1000) }
    }

    @Test("Noise instead of instructions", arguments: 0..<4 as Range<UInt64>)
    func noise(seed: UInt64) {
        var generator = SeededGenerator(state: seed &+ 100)
        var readable = 0
        for _ in 0..<3000 {
            // A sound CIE, then an FDE whose instructions (or expression) are noise.
            let count = Int.random(in: 0...40, using: &generator)
            var noise = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            if Bool.random(using: &generator) { noise = [0x0F, UInt8(min(count, 0x7F))] + noise }
            let contents: [UInt8] =
                [24, 0, 0, 0] + [0, 0x10, 0, 0, 0, 0, 0, 0] + [0, 1, 0, 0, 0, 0, 0, 0] + [0] + noise
            let common: [UInt8] = [
                16, 0, 0, 0, 0, 0, 0, 0, 1, 0x7A, 0x52, 0, 1, 0x78, 16, 1, 0x04, 0x0C, 7, 8,
            ]
            let section = common + [UInt8(contents.count), 0, 0, 0] + contents + [0, 0, 0, 0]
            guard let table = try? FrameTable(section: section, address: 0x10_0000), table.count == 1 else { continue }
            readable += 1
            var registers = RegisterValues()
            for register in RegisterValues.Number.allCases { registers[register] = generator.next() }
            registers[.rip] = 0x10FF
            let provider = OneTable(located: LocatedFrameTable(table: table, bias: 0))
            var backtraceUnwinder = Unwinder(memory: WildMemory(), tables: provider, frameLimit: 5)
            let backtrace = backtraceUnwinder.unwind(registers)
            #expect(!backtrace.frames.isEmpty)
        }
        #expect(readable > 2000)
    }

    @Test("A CIE that is not understood costs its own functions only")
    func unknownAugmentation() throws {
        let object = try TestObject(path: "/bin/ls")
        var section = try #require(object.sections[".eh_frame"])
        let sound = try FrameTable(section: section.bytes, address: section.address)
        // "zR" of the first CIE becomes "zQ".
        try #require(section.bytes[10] == UInt8(ascii: "R"))
        section.bytes[10] = UInt8(ascii: "Q")
        let odd = try FrameTable(section: section.bytes, address: section.address)
        #expect(sound.count > 0)
        #expect(sound.unreadableCount == 0)
        #expect(odd.count + odd.unreadableCount == sound.count)
        #expect(odd.unreadableCount > 0)
    }
}
