//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF

/// Turns a live patch into the bytes of a file (Documentation/live-patch-format.md).
package enum PatchWriter {
    /// The bytes of a patch file. The same patch gives the same bytes.
    ///
    /// - Parameters:
    ///   - patch: The live patch.
    ///   - digest: SHA-256 of bytes, 32 of them (this room does not know libsodium).
    /// - Throws: `PatchFormatError` where the parts of the patch do not fit together, or it is too large.
    package static func write(
        _ patch: Patch, digest: (RawSpan) -> [UInt8]
    ) throws(PatchFormatError) -> [UInt8] {
        var bytes = try undigested(patch)
        let covered = bytes.count - PatchFormat.digestSize
        let value = digest(bytes.rawSpan.extracting(0..<covered))
        guard value.count == PatchFormat.digestSize else {
            throw PatchFormatError(.inconsistent, "the digest has \(value.count) bytes instead of 32")
        }
        bytes.replaceSubrange(covered..<bytes.count, with: value)
        return bytes
    }

    /// The bytes of a patch file with zeros in place of the digest.
    static func undigested(_ patch: Patch) throws(PatchFormatError) -> [UInt8] {
        try patch.validate()
        var object = ObjectWriter(machine: Machine(rawValue: patch.target.machine))
        addSections(
            of: patch, entries: try EntryTable.encode(patch.entries), fixUps: try FixUpTable.encode(patch.fixUps),
            to: &object)
        let bytes: [UInt8]
        do throws(ELFError) {
            let places = try addSymbols(of: patch, to: &object)
            for relocation in patch.image.relocations {
                try add(relocation, of: patch.image, symbols: places, to: &object)
            }
            bytes = try object.bytes()
        } catch {
            throw .unreadable("the patch", error)
        }
        guard bytes.count <= PatchFormat.maximumFileSize else {
            throw PatchFormatError(
                .tooLarge, "a file of \(bytes.count) bytes; the format allows \(PatchFormat.maximumFileSize)")
        }
        return bytes
    }

    /// Adds the sections in the order of `PatchFormat.FixedSection`.
    private static func addSections(
        of patch: Patch, entries: [UInt8], fixUps: [UInt8], to object: inout ObjectWriter
    ) {
        for section in PatchFormat.FixedSection.allCases {
            let flags: SectionFlags
            let alignment: Int
            let contents: [UInt8]
            switch section {
            case .code: (flags, alignment, contents) = ([.allocated, .executable], Image.alignment, patch.image.code)
            case .constants: (flags, alignment, contents) = ([.allocated], Image.alignment, patch.image.constants)
            case .unwind: (flags, alignment, contents) = ([.allocated], Image.alignment, patch.image.unwind)
            case .entries: (flags, alignment, contents) = ([], 8, entries)
            case .fixUps: (flags, alignment, contents) = ([], 8, fixUps)
            case .notes: (flags, alignment, contents) = ([], 4, PatchNotes(patch).encoded())
            case .target:
                _ = object.addNoBits(
                    name: section.name, flags: [.allocated], alignment: PatchFormat.pageSize,
                    size: patch.targetExtent)
                continue
            }
            _ = object.addSection(
                name: section.name, type: section.type, flags: flags, alignment: UInt64(alignment), contents: contents)
        }
        object.setTrailingSection(
            name: PatchFormat.digestSection, type: .programBits, alignment: 1,
            contents: [UInt8](repeating: 0, count: PatchFormat.digestSize))
    }

    /// Adds all symbols and gives the index of the first one at each place.
    private static func addSymbols(
        of patch: Patch, to object: inout ObjectWriter
    ) throws(ELFError) -> [Relocation.Destination: UInt32] {
        for section in [PatchFormat.FixedSection.code, .constants, .unwind, .target] {
            _ = try object.addSymbol(
                name: "", binding: .local, type: .section, section: section.rawValue, value: 0, size: 0)
        }
        var places: [Relocation.Destination: UInt32] = [:]
        for symbol in patch.fileSymbols {
            let section: Int
            let value: UInt64
            switch symbol.place {
            case .target(let address): (section, value) = (PatchFormat.FixedSection.target.rawValue, address)
            case .image(let offset):
                // `validate` has found the part.
                let part = patch.image.part(at: offset) ?? .code
                (section, value) = (part.rawValue, UInt64(Int(offset) - patch.image.range(of: part).lowerBound))
            }
            let index = try object.addSymbol(
                name: symbol.name, binding: .local, type: symbol.type, section: section, value: value, size: symbol.size
            )
            if places[symbol.place] == nil { places[symbol.place] = index }
        }
        return places
    }

    private static func add(
        _ relocation: Relocation, of image: Image, symbols: [Relocation.Destination: UInt32],
        to object: inout ObjectWriter
    ) throws(ELFError) {
        let part = image.part(at: relocation.offset) ?? .code
        guard let symbol = symbols[relocation.destination] else {
            throw ELFError(.notFound, at: UInt64(relocation.offset), "a relocation's destination has no symbol")
        }
        try object.addRelocation(
            ELFRelocation(
                offset: UInt64(Int(relocation.offset) - image.range(of: part).lowerBound),
                type: relocation.kind.elfType, symbol: symbol, addend: relocation.addend),
            toSection: part.rawValue)
    }
}
