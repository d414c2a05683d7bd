//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch

extension PatchMemory {
    /// The size of the header that begins with these bytes, for reading all of it.
    ///
    /// - Parameter prefix: at least the first 16 bytes of a mapping.
    /// - Throws: `PatchMemoryError`: `noMagic` where no patch memory begins, `unknownLayout` or `invalidField`.
    package static func headerSize(prefix: [UInt8]) throws(PatchMemoryError) -> Int {
        var reader = ByteReader(prefix)
        guard try reader.integer(UInt64.self) == magic else {
            throw PatchMemoryError(.noMagic, "No patch memory begins here.")
        }
        let version = try reader.integer(UInt32.self)
        guard version == layoutVersion else {
            throw PatchMemoryError(
                .unknownLayout, "The patch memory has layout \(version), this version knows \(layoutVersion).")
        }
        let size = Int(try reader.integer(UInt32.self))
        guard size >= fixedSize, size <= maximumSize, size % headerAlignment == 0 else {
            throw PatchMemoryError(.invalidField, "The patch memory says its header has \(size) bytes.")
        }
        return size
    }

    /// Reads a header that lies in a process's memory: nobody vouches for it.
    ///
    /// - Parameters:
    ///   - header: `headerSize(prefix:)` bytes.
    ///   - address: where they lie.
    ///   - sha256: the digest.
    /// - Throws: `PatchMemoryError`.
    package init(decoding header: [UInt8], at address: UInt64, sha256: Digester) throws(PatchMemoryError) {
        let size = try Self.headerSize(prefix: header)
        guard header.count == size else { throw PatchMemoryError(.truncated, "The header ends early.") }
        let checksum = Self.checksum(header, sha256: sha256)
        guard Array(header[Self.checksumOffset..<(Self.checksumOffset + digestSize)]) == checksum else {
            throw PatchMemoryError(.checksum, "The patch memory's header is not what its checksum says.")
        }
        var reader = ByteReader(header, at: 16)
        let total = try reader.integer(UInt64.self)
        _ = try reader.integer(UInt64.self)
        _ = try reader.integer(UInt64.self)
        let ownAddress = try reader.integer(UInt64.self)
        let stateAddress = try reader.integer(UInt64.self)
        self.loadBias = try reader.integer(UInt64.self)
        self.patchDigest = try reader.array(digestSize)
        self.transaction = try reader.array(digestSize)
        self.imageDigest = try reader.array(digestSize)
        self.codeSize = try reader.integer(UInt32.self)
        self.constantsOffset = try reader.integer(UInt32.self)
        self.unwindOffset = try reader.integer(UInt32.self)
        self.imageSize = try reader.integer(UInt32.self)
        self.machine = try reader.integer(UInt16.self)
        let verdict = try reader.integer(UInt16.self)
        let memberCount = Int(try reader.integer(UInt16.self))
        let entryCount = Int(try reader.integer(UInt16.self))
        let recordCount = Int(try reader.integer(UInt16.self))
        let buildIDSize = Int(try reader.integer(UInt16.self))
        let fixUpCount = Int(try reader.integer(UInt16.self))
        let reserved = try reader.integer(UInt16.self)
        guard buildIDSize >= 8, buildIDSize <= 64, reserved == 0 else { throw Self.invalid("build-id size") }
        self.buildID = try reader.array(buildIDSize)
        guard try reader.array(64 - buildIDSize).allSatisfy({ $0 == 0 }) else { throw Self.invalid("build-id") }
        _ = try reader.array(digestSize)

        switch verdict {
        case 1: self.verdict = .automatic
        case 2: self.verdict = .quiescent
        default: throw Self.invalid("verdict")
        }
        guard address == ownAddress, address % 4096 == 0, address.addingReportingOverflow(total).overflow == false,
            total <= UInt64(Self.maximumSize), total == UInt64(size) + UInt64(imageSize)
        else { throw Self.invalid("address or size") }
        guard codeSize <= constantsOffset, UInt64(constantsOffset) + 8 <= UInt64(unwindOffset),
            unwindOffset <= imageSize
        else { throw Self.invalid("image") }
        guard memberCount >= 1, memberCount <= Self.maximumMembers, entryCount >= 1 else {
            throw Self.invalid("members")
        }
        self.address = address
        self.headerSize = UInt32(size)

        var members: [UInt64] = []
        for _ in 0..<memberCount { members.append(try reader.integer(UInt64.self)) }
        guard members.contains(address), Set(members).count == members.count, members.allSatisfy({ $0 % 4096 == 0 }),
            let first = members.first, first.addingReportingOverflow(Self.stateOffset) == (stateAddress, false)
        else { throw Self.invalid("members") }
        self.members = members

        var entries: [PlacedEntry] = []
        var functionSize = 0
        let image = AddressRange(lower: address + UInt64(size), upper: address + total)
        let code = AddressRange(lower: image.lower, upper: image.lower + UInt64(codeSize))
        for _ in 0..<entryCount {
            let entry = try Self.entry(from: &reader, code: code)
            if let last = entries.last {
                guard entry.address >= last.address, entry.address - last.address >= UInt64(last.size) else {
                    throw Self.invalid("entries' order")
                }
            }
            entries.append(entry)
            functionSize += Int(entry.size)
        }
        guard functionSize <= Self.maximumFunctionSize else { throw Self.invalid("functions' size") }
        var fixUps = try Self.fixUps(from: &reader, count: fixUpCount, entries: entries)
        self.labels = try Self.labels(from: &reader, count: recordCount, entries: &entries, fixUps: &fixUps)
        self.entries = entries
        self.fixUps = fixUps
        guard try reader.array(size - reader.offset).allSatisfy({ $0 == 0 }), try encodedHeaderSize() == size else {
            throw Self.invalid("padding")
        }
    }

    static func invalid(_ field: String) -> PatchMemoryError {
        PatchMemoryError(.invalidField, "The patch memory's \(field) cannot be.")
    }

    private static func entry(
        from reader: inout ByteReader, code: AddressRange
    ) throws(PatchMemoryError) -> PlacedEntry {
        let address = try reader.integer(UInt64.self)
        let size = try reader.integer(UInt32.self)
        let maskCount = Int(try reader.integer(UInt32.self))
        let first = try reader.array(PlacedEntry.originalSize)
        let replacementOffset = try reader.integer(UInt32.self)
        let replacementSize = try reader.integer(UInt32.self)
        let gateOffset = try reader.integer(UInt32.self)
        let gateSize = try reader.integer(UInt32.self)
        let gateOriginal = try reader.integer(UInt32.self)
        guard try reader.integer(UInt32.self) == 0, try reader.array(8).allSatisfy({ $0 == 0 }) else {
            throw invalid("reserved field")
        }
        let digest = try reader.array(digestSize)
        let kept = min(PlacedEntry.originalSize, Int(size))
        guard size >= UInt32(Entry.overwrittenSize), maskCount <= 128,
            AddressRange(start: address, size: UInt64(size)) != nil, first[kept...].allSatisfy({ $0 == 0 })
        else { throw invalid("entry") }
        let replacement = AddressRange(
            lower: code.lower &+ UInt64(replacementOffset),
            upper: code.lower &+ UInt64(replacementOffset) &+ UInt64(replacementSize))
        guard replacementSize > 0, code.contains(replacement) else { throw invalid("replacement") }
        var gate: AddressRange?
        if gateSize > 0 {
            let range = AddressRange(
                lower: code.lower &+ UInt64(gateOffset), upper: code.lower &+ UInt64(gateOffset) &+ UInt64(gateSize))
            guard code.contains(range), gateOriginal >= gateOffset, gateOriginal - gateOffset < gateSize else {
                throw invalid("gate")
            }
            gate = range
        } else {
            guard gateOffset == 0, gateOriginal == 0 else { throw invalid("gate") }
        }
        var masked: [MaskedRange] = []
        for _ in 0..<maskCount {
            let mask = MaskedRange(
                offset: try reader.integer(UInt32.self), length: try reader.integer(UInt32.self))
            guard UInt64(mask.offset) + UInt64(mask.length) <= UInt64(size) else { throw invalid("masked range") }
            masked.append(mask)
        }
        return PlacedEntry(
            name: "", address: address, size: size, original: Array(first[..<kept]), expectedDigest: digest,
            masked: masked, replacement: replacement, gate: gate,
            gateOriginal: gate == nil ? 0 : code.lower &+ UInt64(gateOriginal))
    }

    private static func labels(
        from reader: inout ByteReader, count: Int, entries: inout [PlacedEntry], fixUps: inout [PlacedFixUp]
    ) throws(PatchMemoryError) -> Labels {
        var labels = Labels(
            identifier: "", targetName: "", package: "", packageVersion: "", cves: [], partOf: "", requires: [])
        var previous: UInt16 = 0
        var named = 0
        var namedFixUps = 0
        for _ in 0..<count {
            let raw = try reader.integer(UInt16.self)
            let size = Int(try reader.integer(UInt16.self))
            guard let label = Label(rawValue: raw), raw >= previous, size <= 1024,
                let text = String(validating: try reader.array(size), as: UTF8.self)
            else { throw invalid("label") }
            switch label {
            case .cve: labels.cves.append(text)
            case .requires: labels.requires.append(text)
            case .entryName:
                guard named < entries.count else { throw invalid("label") }
                entries[named].name = text
                named += 1
            case .fixUpName:
                guard namedFixUps < fixUps.count else { throw invalid("label") }
                fixUps[namedFixUps].name = text
                namedFixUps += 1
            case .identifier, .targetName, .package, .packageVersion, .partOf:
                guard raw > previous else { throw invalid("label") }
                switch label {
                case .identifier: labels.identifier = text
                case .targetName: labels.targetName = text
                case .package: labels.package = text
                case .packageVersion: labels.packageVersion = text
                default: labels.partOf = text
                }
            }
            previous = raw
        }
        guard named == entries.count, namedFixUps == fixUps.count, !labels.identifier.isEmpty else {
            throw invalid("label")
        }
        return labels
    }
}
