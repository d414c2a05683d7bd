//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF

/// `.moult.fixups`: a header of 8 bytes, one record of 48 bytes for each fix-up, and then, one by one, the name and
/// the author's sentence (Documentation/live-patch-format.md, "Fix-ups").
enum FixUpTable {
    static var headerSize: Int { 8 }
    static var recordSize: Int { 48 }

    /// What a value is, in a record.
    private enum Kind: UInt8 {
        case number
        case target
        case image
    }

    // MARK: - Writing

    static func encode(_ fixUps: [FixUp]) throws(PatchFormatError) -> [UInt8] {
        var records: [UInt8] = []
        var data: [UInt8] = []
        let dataOffset = headerSize + fixUps.count * recordSize
        records.append(littleEndian: UInt32(truncatingIfNeeded: fixUps.count))
        records.append(littleEndian: UInt32(recordSize))
        for fixUp in fixUps {
            let from = encode(fixUp.from)
            let to = encode(fixUp.to)
            let name = [UInt8](fixUp.name.utf8)
            let because = [UInt8](fixUp.because.utf8)
            // Every offset below is less than this sum, so none is cut.
            guard dataOffset + data.count + name.count + because.count <= PatchFormat.maximumFileSize else {
                throw PatchFormatError(.tooLarge, "the fix-ups take more bytes than a patch file may have")
            }
            records.append(littleEndian: fixUp.address)
            records.append(contentsOf: [fixUp.size.rawValue, from.kind.rawValue, to.kind.rawValue, 0])
            records.append(littleEndian: UInt32(dataOffset + data.count))
            records.append(littleEndian: UInt32(name.count))
            data.append(contentsOf: name)
            records.append(littleEndian: UInt32(dataOffset + data.count))
            records.append(littleEndian: UInt32(because.count))
            data.append(contentsOf: because)
            records.append(littleEndian: UInt32(0))
            records.append(littleEndian: from.value)
            records.append(littleEndian: to.value)
        }
        return records + data
    }

    private static func encode(_ value: FixUp.Value) -> (kind: Kind, value: UInt64) {
        switch value {
        case .number(let number): (.number, number)
        case .address(.target(let address)): (.target, address)
        case .address(.image(let offset)): (.image, UInt64(offset))
        }
    }

    // MARK: - Reading

    static func decode(_ bytes: RawSpan) throws(PatchFormatError) -> [FixUp] {
        do throws(ELFError) {
            return try fixUps(bytes)
        } catch {
            throw .unreadable("the table of fix-ups", error)
        }
    }

    private static func fixUps(_ bytes: RawSpan) throws(ELFError) -> [FixUp] {
        let count = try bytes.integer(at: 0, as: UInt32.self)
        guard try bytes.integer(at: 4, as: UInt32.self) == recordSize, count <= PatchFormat.maximumFixUps else {
            throw ELFError(.malformed, at: 0, "its records are too many, or not \(recordSize) bytes long")
        }
        var result: [FixUp] = []
        for index in 0..<UInt64(count) {
            let offset = UInt64(headerSize) + index * UInt64(recordSize)
            result.append(try fixUp(try bytes.slice(offset: offset, count: UInt64(recordSize)), in: bytes))
        }
        return result
    }

    private static func fixUp(_ record: RawSpan, in bytes: RawSpan) throws(ELFError) -> FixUp {
        func number(_ offset: Int) -> UInt64 { UInt64(record.uncheckedInteger(at: offset, as: UInt32.self)) }
        let name = try bytes.slice(offset: number(12), count: number(16))
        let because = try bytes.slice(offset: number(20), count: number(24))
        let raw: UInt8 = record.uncheckedInteger(at: 8)
        guard let size = FixUp.Size(rawValue: raw) else {
            throw ELFError(.malformed, at: 8, "a datum of \(raw) bytes cannot be set at once")
        }
        return FixUp(
            name: name.text(), address: record.uncheckedInteger(at: 0), size: size,
            from: try value(record, kind: 9, at: 32), to: try value(record, kind: 10, at: 40), because: because.text())
    }

    private static func value(_ record: RawSpan, kind: Int, at offset: Int) throws(ELFError) -> FixUp.Value {
        let value: UInt64 = record.uncheckedInteger(at: offset)
        switch Kind(rawValue: record.uncheckedInteger(at: kind)) {
        case .number: return .number(value)
        case .target: return .address(.target(value))
        case .image:
            guard let place = UInt32(exactly: value) else {
                throw ELFError(.malformed, at: UInt64(offset), "a value lies behind every image")
            }
            return .address(.image(place))
        case nil: throw ELFError(.malformed, at: UInt64(kind), "a value of a kind that is not understood")
        }
    }
}
