//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF

/// The sections of a patch file, found where they must be: a view.
struct PatchObject: ~Escapable {
    let image: ELFImage
    let code: RawSpan
    let constants: RawSpan
    let unwind: RawSpan
    let entries: RawSpan
    let fixUps: RawSpan
    let notes: RawSpan
    let symbols: SymbolTable
    /// `.rela` sections, with the part that each relocates.
    let relocations: [(part: Image.Part, section: Section)]

    /// Finds the sections.
    ///
    /// - Throws: `ELFError` with code `notFound` where the file is no live patch at all, and others where it is
    ///   one that is damaged.
    @_lifetime(copy bytes)
    init(_ bytes: RawSpan) throws(ELFError) {
        let image = try ELFImage(bytes)
        guard image.header.type == .relocatable else {
            throw ELFError(.notFound, at: 16, "it is no relocatable object")
        }
        let sections = try image.sections
        let names = try image.sectionNames
        for fixed in PatchFormat.FixedSection.allCases {
            guard fixed.rawValue < sections.count,
                try names.matches(fixed.name, at: try sections[fixed.rawValue].nameOffset)
            else {
                throw ELFError(.notFound, at: UInt64(fixed.rawValue), "it has no section \(fixed.name) in its place")
            }
            guard try sections[fixed.rawValue].type == fixed.type else {
                throw ELFError(.malformed, at: UInt64(fixed.rawValue), "section \(fixed.name) is of another type")
            }
        }
        code = try image.contents(of: try sections[PatchFormat.FixedSection.code.rawValue])
        constants = try image.contents(of: try sections[PatchFormat.FixedSection.constants.rawValue])
        unwind = try image.contents(of: try sections[PatchFormat.FixedSection.unwind.rawValue])
        entries = try image.contents(of: try sections[PatchFormat.FixedSection.entries.rawValue])
        fixUps = try image.contents(of: try sections[PatchFormat.FixedSection.fixUps.rawValue])
        notes = try image.contents(of: try sections[PatchFormat.FixedSection.notes.rawValue])

        var index = PatchFormat.FixedSection.notes.rawValue + 1
        var relocations: [(part: Image.Part, section: Section)] = []
        while index < sections.count, try sections[index].type == .relocationsWithAddends {
            let section = try sections[index]
            guard let part = Image.Part(rawValue: Int(section.info)),
                part.rawValue > relocations.last?.part.rawValue ?? 0
            else {
                throw ELFError(.malformed, at: UInt64(index), "section \(index) relocates what is not in the image")
            }
            relocations.append((part, section))
            index += 1
        }
        self.relocations = relocations
        // Behind them: symbols, their names, the sections' names, the digest.
        guard sections.count == index + 4, try sections[index].type == .symbolTable else {
            throw ELFError(.malformed, at: UInt64(index), "the sections are not those of a live patch")
        }
        guard try names.matches(PatchFormat.digestSection, at: try sections[index + 3].nameOffset) else {
            throw ELFError(.malformed, at: UInt64(index + 3), "the digest is not the last section")
        }
        symbols = try image.symbolTable(in: try sections[index])
        self.image = image
    }

    /// The image without relocations.
    ///
    /// - Throws: `PatchFormatError` where it is too large.
    func parts() throws(PatchFormatError) -> Image {
        let result = Image(
            code: code.copied(), constants: constants.copied(), unwind: unwind.copied(), relocations: [])
        guard result.size <= PatchFormat.maximumImageSize else {
            throw PatchFormatError(
                .tooLarge, "an image of \(result.size) bytes; the format allows \(PatchFormat.maximumImageSize)")
        }
        return result
    }

    /// The relocations, in the file's order.
    ///
    /// - Throws: `ELFError` for a relocation that is not understood.
    func relocations(of parts: Image) throws(ELFError) -> [Relocation] {
        var result: [Relocation] = []
        for (part, section) in relocations {
            let table = try image.relocations(in: section)
            let range = parts.range(of: part)
            for index in 0..<table.count {
                let record = try table[index]
                guard let kind = Relocation.Kind(elfType: record.type) else {
                    throw ELFError(
                        .malformed, at: record.offset, "a relocation of type \(record.type.rawValue) is not understood")
                }
                guard record.offset < UInt64(range.count) else {
                    throw .outOfBounds(offset: record.offset, count: UInt64(kind.size), size: range.count)
                }
                result.append(
                    Relocation(
                        offset: UInt32(range.lowerBound + Int(record.offset)), kind: kind,
                        destination: try place(of: try symbols[Int(record.symbol)], in: parts), addend: record.addend))
            }
        }
        return result
    }

    /// The symbols that are not derived from the rest of the patch: those behind the first `derived`, but for
    /// made-up names.
    ///
    /// - Throws: `ELFError` for a symbol that has no place in the image or the target.
    func symbols(behind derived: Int, of parts: Image) throws(ELFError) -> [Symbol] {
        var result: [Symbol] = []
        var index = derived
        // Names may share their bytes: see `PatchFormat.maximumNames`.
        var total = 0
        while index < symbols.count {
            let symbol = try symbols[index]
            let bytes = try symbols.nameBytes(of: symbol)
            total += bytes.byteCount
            guard total <= PatchFormat.maximumNames else {
                throw ELFError(.malformed, at: UInt64(index), "the names of the symbols are too long")
            }
            let name = bytes.text()
            index += 1
            if name.utf8.starts(with: PatchFormat.reservedPrefix.utf8) { continue }
            result.append(Symbol(name: name, place: try place(of: symbol, in: parts), size: symbol.size))
        }
        return result
    }

    private func place(of symbol: ELFSymbol, in parts: Image) throws(ELFError) -> Relocation.Destination {
        if Int(symbol.sectionIndex) == PatchFormat.FixedSection.target.rawValue { return .target(symbol.value) }
        guard let part = Image.Part(rawValue: Int(symbol.sectionIndex)) else {
            throw ELFError(
                .malformed, at: UInt64(symbol.index), "symbol \(symbol.index) is neither in the image nor in the target"
            )
        }
        let range = parts.range(of: part)
        guard symbol.value <= UInt64(range.count) else {
            throw .outOfBounds(offset: symbol.value, count: symbol.size, size: range.count)
        }
        return .image(UInt32(range.lowerBound + Int(symbol.value)))
    }
}
