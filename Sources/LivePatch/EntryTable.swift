//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF

/// `.moult.entries`: a header of 8 bytes, one record of 64 bytes for each entry, and then, entry by entry, the
/// name, the masked ranges and the expected bytes (Documentation/live-patch-format.md, "Entries").
enum EntryTable {
    static var headerSize: Int { 8 }
    static var recordSize: Int { 64 }
    /// Most instructions that cover 5 bytes.
    static var maximumPrologue: Int { 5 }

    // MARK: - Writing

    static func encode(_ entries: [Entry]) throws(PatchFormatError) -> [UInt8] {
        var records: [UInt8] = []
        var data: [UInt8] = []
        let dataOffset = headerSize + entries.count * recordSize
        records.append(littleEndian: UInt32(truncatingIfNeeded: entries.count))
        records.append(littleEndian: UInt32(recordSize))
        for entry in entries {
            let name = [UInt8](entry.name.utf8)
            let nameOffset = dataOffset + data.count
            data.append(contentsOf: name)
            data.pad(to: 4)
            let maskOffset = dataOffset + data.count
            for mask in entry.masked {
                data.append(littleEndian: mask.offset)
                data.append(littleEndian: mask.length)
            }
            let expectedOffset = dataOffset + data.count
            data.append(contentsOf: entry.expected)
            data.pad(to: 4)
            // Every offset below is less than this sum, so none is cut.
            guard dataOffset + data.count <= PatchFormat.maximumFileSize else {
                throw PatchFormatError(.tooLarge, "the entries take more bytes than a patch file may have")
            }

            records.append(littleEndian: entry.address)
            records.append(littleEndian: UInt32(entry.expected.count))
            records.append(littleEndian: UInt32(expectedOffset))
            records.append(littleEndian: UInt32(nameOffset))
            records.append(littleEndian: UInt32(name.count))
            records.append(littleEndian: UInt32(maskOffset))
            records.append(littleEndian: UInt32(entry.masked.count))
            records.append(littleEndian: entry.replacement)
            records.append(littleEndian: entry.replacementSize)
            records.append(littleEndian: entry.gate?.offset ?? 0)
            records.append(littleEndian: entry.gate?.size ?? 0)
            records.append(littleEndian: entry.gate?.original ?? 0)
            records.append(entry.gate == nil ? 0 : 1)
            records.append(UInt8(entry.prologue.count))
            for index in 0..<maximumPrologue {
                records.append(index < entry.prologue.count ? entry.prologue[index] : 0)
            }
            records.append(contentsOf: [0, 0, 0, 0, 0])
        }
        return records + data
    }

    // MARK: - Reading

    static func decode(_ bytes: RawSpan) throws(PatchFormatError) -> [Entry] {
        do throws(ELFError) {
            return try entries(bytes)
        } catch {
            throw .unreadable("the table of entries", error)
        }
    }

    private static func entries(_ bytes: RawSpan) throws(ELFError) -> [Entry] {
        let count = UInt64(try bytes.integer(at: 0, as: UInt32.self))
        guard try bytes.integer(at: 4, as: UInt32.self) == recordSize else {
            throw ELFError(.malformed, at: 4, "its records are not \(recordSize) bytes long")
        }
        var entries: [Entry] = []
        // No byte belongs to two entries. Without this a small file could name its bytes a thousand times and
        // fill the memory before the comparison with the canonical form refuses it.
        var total: UInt64 = 0
        // Stops at the first record that is not in the bytes: no count is believed.
        for index in 0..<count {
            let offset = UInt64(headerSize) + index * UInt64(recordSize)
            let record = try bytes.slice(offset: offset, count: UInt64(recordSize))
            // Sizes of 32 bits, one of them eight times: no sum over the records of a file overflows.
            for (field, unit) in [(8, UInt64(1)), (20, 1), (28, 8)] {
                total += UInt64(record.uncheckedInteger(at: field, as: UInt32.self)) * unit
            }
            guard total <= UInt64(bytes.byteCount) else {
                throw ELFError(.malformed, at: offset, "its records name more bytes than there are")
            }
            entries.append(try entry(record, in: bytes))
        }
        return entries
    }

    private static func entry(_ record: RawSpan, in bytes: RawSpan) throws(ELFError) -> Entry {
        func number(_ offset: Int) -> UInt32 { record.uncheckedInteger(at: offset) }
        func byte(_ offset: Int) -> UInt8 { record.uncheckedInteger(at: offset) }
        let expected = try bytes.slice(offset: UInt64(number(12)), count: UInt64(number(8)))
        let name = try bytes.slice(offset: UInt64(number(16)), count: UInt64(number(20)))
        let masks = try bytes.slice(offset: UInt64(number(24)), count: UInt64(number(28)) * 8)
        guard byte(53) <= maximumPrologue, byte(52) <= 1 else {
            throw ELFError(.malformed, at: UInt64(byte(53)), "a record has flags or a prologue that is not understood")
        }
        return Entry(
            name: name.text(), address: record.uncheckedInteger(at: 0), expected: expected.copied(),
            masked: (0..<masks.byteCount / 8).map {
                MaskedRange(offset: masks.uncheckedInteger(at: $0 * 8), length: masks.uncheckedInteger(at: $0 * 8 + 4))
            },
            prologue: (0..<Int(byte(53))).map { byte(54 + $0) }, replacement: number(32),
            replacementSize: number(36),
            gate: byte(52) == 0 ? nil : Gate(offset: number(40), size: number(44), original: number(48)))
    }
}
