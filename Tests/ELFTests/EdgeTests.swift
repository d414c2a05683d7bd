//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF
import Testing

/// What no file of the system has.
@Suite struct EdgeTests {
    /// Notes of 8-byte alignment: the descriptor and the next note begin at multiples of 8.
    @Test func notesOfEitherAlignment() throws {
        func note(_ owner: String, _ type: UInt32, _ descriptor: [UInt8], alignment: Int) -> [UInt8] {
            var bytes: [UInt8] = []
            bytes.append(littleEndian: UInt32(owner.utf8.count + 1))
            bytes.append(littleEndian: UInt32(descriptor.count))
            bytes.append(littleEndian: type)
            bytes += Array(owner.utf8) + [0]
            bytes.pad(to: alignment)
            bytes += descriptor
            bytes.pad(to: alignment)
            return bytes
        }
        for alignment in [4, 8] {
            let bytes =
                note("GNU", 5, [1, 2, 3], alignment: alignment)
                + note("moult", 7, [4, 5, 6, 7, 8], alignment: alignment)
            let table = NoteTable(bytes.span.bytes, alignment: UInt64(alignment))
            let notes = try table.parsed()
            #expect(notes.map(\.owner) == ["GNU", "moult"])
            #expect(notes.map(\.type) == [5, 7])
            let first = try table.descriptor(of: notes[0]).copied()
            let second = try table.descriptor(of: notes[1]).copied()
            #expect(first == [1, 2, 3])
            #expect(second == [4, 5, 6, 7, 8])
        }
    }

    @Test func stringsEnd() throws {
        let bytes = Array("\0ab\0cd".utf8)
        let table = StringTable(bytes.span.bytes)
        #expect(try table.string(at: 0) == "")
        #expect(try table.string(at: 1) == "ab")
        #expect(try table.string(at: 2) == "b")
        #expect(try table.matches("ab", at: 1))
        #expect(try !table.matches("a", at: 1))
        #expect(try !table.matches("abc", at: 1))
        // No NUL behind it.
        #expect(try !table.matches("cd", at: 4))
        #expect(throws: ELFError.self) { try table.string(at: 4) }
        #expect(throws: ELFError.self) { try table.string(at: 6) }
        #expect(throws: ELFError.self) { try table.matches("", at: 6) }
        #expect(try StringTable([UInt8]().span.bytes).string(at: 0) == "")
    }

    /// A header, one program header behind it, and nothing else.
    private func oneSegment(address: UInt64, fileSize: UInt64, memorySize: UInt64) -> [UInt8] {
        var bytes: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 57 + 56)
        func put<T: FixedWidthInteger>(_ value: T, at offset: Int) {
            var encoded: [UInt8] = []
            encoded.append(littleEndian: value)
            bytes.replaceSubrange(offset..<offset + encoded.count, with: encoded)
        }
        put(UInt32(1), at: 20)
        put(UInt64(64), at: 32)
        put(UInt16(56), at: 54)
        put(UInt16(1), at: 56)
        put(SegmentType.load.rawValue, at: 64)
        put(address, at: 64 + 16)
        put(fileSize, at: 64 + 32)
        put(memorySize, at: 64 + 40)
        return bytes
    }

    @Test func segmentsBehindTheAddressSpace() throws {
        for (address, size) in [(UInt64.max, UInt64(1)), (.max - 4096, 4096), (1, .max)] {
            let bytes = oneSegment(address: address, fileSize: size, memorySize: size)
            let image = try ELFImage(bytes.span.bytes)
            #expect(throws: ELFError.self) { try image.endAddress() }
            // Its one byte is in the file all the same; more than the file has is not.
            if size == 1 { continue }
            #expect(throws: ELFError.self) { try image.contents(atAddress: address, count: size).byteCount }
        }
        let bytes = oneSegment(address: 0x1234, fileSize: 100, memorySize: 0x1000)
        let image = try ELFImage(bytes.span.bytes)
        #expect(try image.firstAddress() == 0x1000)
        #expect(try image.endAddress() == 0x3000)
        #expect(try image.offset(ofAddress: 0x1234 + 99) == 99)
        #expect(try image.offset(ofAddress: 0x1234 + 100) == nil)
        #expect(try image.offset(ofAddress: 0x1233) == nil)
    }

    /// The index of the names' section may be too large for the header while the count is not.
    @Test func namesIndexInSectionZero() throws {
        var bytes = oneSegment(address: 0, fileSize: 0, memorySize: 0) + [UInt8](repeating: 0, count: 128)
        bytes[40] = 120  // e_shoff
        bytes[58] = 64
        bytes[60] = 2
        bytes[62] = 0xff
        bytes[63] = 0xff
        bytes[120 + 40] = 1  // sh_link of section 0
        #expect(try ELFImage(bytes.span.bytes).header.sectionNamesIndex == 1)
    }

    @Test func spansAreChecked() throws {
        let bytes: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8, 9]
        let span = bytes.span.bytes
        #expect(try span.integer(at: 1, as: UInt64.self) == 0x0908_0706_0504_0302)
        #expect(try span.integer(at: 8, as: UInt8.self) == 9)
        for offset: UInt64 in [2, 9, .max, .max - 7] {
            #expect(throws: ELFError.self) { try span.integer(at: offset, as: UInt64.self) }
        }
        #expect(try span.slice(offset: 9, count: 0).byteCount == 0)
        for (offset, count) in [(UInt64(0), UInt64(10)), (9, 1), (10, 0), (.max, 1), (1, .max)] {
            #expect(throws: ELFError.self) { try span.slice(offset: offset, count: count).byteCount }
        }
    }
}
