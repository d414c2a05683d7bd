//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch

extension PatchMemory {
    /// First 8 bytes of a patch memory, written last: `MOULTMEM`.
    package static var magic: UInt64 { 0x4D45_4D54_4C55_4F4D }
    /// First 8 bytes while it is being filled: `MOULTfil`.
    package static var fillingMagic: UInt64 { 0x6C69_6654_4C55_4F4D }
    /// The layout that this version writes and reads.
    static var layoutVersion: UInt32 { 1 }
    /// Size of the part that every header has.
    static var fixedSize: Int { 288 }
    /// Size of one entry's record, without its masked ranges.
    static var entrySize: Int { 96 }
    /// Size of one fix-up's record.
    static var fixUpSize: Int { 32 }
    /// Offset of the checksum.
    static var checksumOffset: Int { 256 }
    /// The header's size is a multiple of this, so that the image keeps its alignment.
    static var headerAlignment: Int { 64 }
    /// Most members of a transaction.
    package static var maximumMembers: Int { 64 }

    /// Kinds of the records that follow the entries.
    enum Label: UInt16 {
        case identifier = 1
        case targetName
        case package
        case packageVersion
        case cve
        case partOf
        case requires
        case entryName
        case fixUpName
    }

    /// The labels in the order in which they are written.
    private var records: [(Label, String)] {
        var records: [(Label, String)] = [
            (.identifier, labels.identifier), (.targetName, labels.targetName), (.package, labels.package),
            (.packageVersion, labels.packageVersion),
        ]
        for cve in labels.cves { records.append((.cve, cve)) }
        records.append((.partOf, labels.partOf))
        for name in labels.requires { records.append((.requires, name)) }
        for entry in entries { records.append((.entryName, entry.name)) }
        for fixUp in fixUps { records.append((.fixUpName, fixUp.name)) }
        return records
    }

    /// The size that the header of these entries, members and labels has, in bytes.
    ///
    /// - Throws: `PatchMemoryError` (`tooLarge`) if it cannot be written at all.
    package func encodedHeaderSize() throws(PatchMemoryError) -> Int {
        guard members.count <= Self.maximumMembers, entries.count <= 128, buildID.count <= 64,
            fixUps.count <= PatchFormat.maximumFixUps
        else { throw PatchMemoryError(.tooLarge, "More members, entries or fix-ups than a patch memory can name.") }
        var size =
            Self.fixedSize + 8 * members.count + Self.entrySize * entries.count
            + Self.fixUpSize * fixUps.count
        for entry in entries {
            guard entry.masked.count <= 128 else {
                throw PatchMemoryError(.tooLarge, "\(entry.name) has more masked ranges than a patch memory can hold.")
            }
            size += 8 * entry.masked.count
        }
        for (_, text) in records {
            guard text.utf8.count <= 1024 else {
                throw PatchMemoryError(.tooLarge, "A label is longer than 1024 bytes.")
            }
            size += 4 + text.utf8.count
        }
        let rounded = (size + Self.headerAlignment - 1) / Self.headerAlignment * Self.headerAlignment
        guard rounded <= Self.maximumSize else {
            throw PatchMemoryError(.tooLarge, "The header needs \(rounded) bytes, more than a patch memory has.")
        }
        return rounded
    }

    /// The header as bytes, state and history word zero, complete with magic and checksum.
    ///
    /// Whoever writes it into a process puts `fillingMagic` first and the magic last.
    ///
    /// - Parameter sha256: the digest.
    /// - Throws: `PatchMemoryError` if it does not fit, or `headerSize` is not that of these entries and labels.
    package func encoded(sha256: Digester) throws(PatchMemoryError) -> [UInt8] {
        let size = try encodedHeaderSize()
        guard size == Int(headerSize) else {
            throw PatchMemoryError(.invalidField, "The header's size is not its own.")
        }
        var writer = ByteWriter()
        writer.append(Self.magic)
        writer.append(Self.layoutVersion)
        writer.append(headerSize)
        writer.append(UInt64(self.size))
        writer.append(UInt64(0))
        writer.append(UInt64(0))
        writer.append(address)
        writer.append(stateAddress)
        writer.append(loadBias)
        writer.append(patchDigest)
        writer.append(transaction)
        writer.append(imageDigest)
        writer.append(codeSize)
        writer.append(constantsOffset)
        writer.append(unwindOffset)
        writer.append(imageSize)
        writer.append(machine)
        writer.append(verdict == .automatic ? UInt16(1) : 2)
        writer.append(UInt16(members.count))
        writer.append(UInt16(entries.count))
        writer.append(UInt16(records.count))
        writer.append(UInt16(buildID.count))
        writer.append(UInt16(fixUps.count))
        writer.append(UInt16(0))
        writer.pad(to: 192)
        writer.append(buildID)
        writer.pad(to: Self.checksumOffset)
        writer.append([UInt8](repeating: 0, count: digestSize))
        for member in members { writer.append(member) }
        for entry in entries { append(entry, to: &writer) }
        for fixUp in fixUps {
            writer.append(fixUp.address)
            writer.append(fixUp.from)
            writer.append(fixUp.to)
            writer.append(UInt64(fixUp.size.rawValue))
        }
        for (label, text) in records {
            let utf8 = Array(text.utf8)
            writer.append(label.rawValue)
            writer.append(UInt16(utf8.count))
            writer.append(utf8)
        }
        writer.pad(to: size)
        var bytes = writer.bytes
        let checksum = Self.checksum(bytes, sha256: sha256)
        for index in 0..<min(checksum.count, digestSize) { bytes[Self.checksumOffset + index] = checksum[index] }
        return bytes
    }

    private func append(_ entry: PlacedEntry, to writer: inout ByteWriter) {
        let start = writer.bytes.count
        writer.append(entry.address)
        writer.append(entry.size)
        writer.append(UInt32(entry.masked.count))
        writer.append(entry.original)
        writer.pad(to: start + 32)
        writer.append(UInt32(truncatingIfNeeded: entry.replacement.lower &- imageAddress))
        writer.append(UInt32(truncatingIfNeeded: entry.replacement.size))
        writer.append(entry.gate.map { UInt32(truncatingIfNeeded: $0.lower &- imageAddress) } ?? 0)
        writer.append(entry.gate.map { UInt32(truncatingIfNeeded: $0.size) } ?? 0)
        writer.append(entry.gate == nil ? 0 : UInt32(truncatingIfNeeded: entry.gateOriginal &- imageAddress))
        writer.append(UInt32(0))
        writer.pad(to: start + 64)
        writer.append(entry.expectedDigest)
        for mask in entry.masked {
            writer.append(mask.offset)
            writer.append(mask.length)
        }
    }

    /// The checksum: SHA-256 of the header with the state word, the history word and the checksum itself zero.
    static func checksum(_ header: [UInt8], sha256: Digester) -> [UInt8] {
        var bytes = header
        bytes.put(UInt64(0), at: Int(stateOffset))
        bytes.put(UInt64(0), at: Int(historyOffset))
        for index in checksumOffset..<(checksumOffset + digestSize) { bytes[index] = 0 }
        return sha256(bytes)
    }
}
