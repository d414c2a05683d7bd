//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// An ELF64 little-endian file, or one that was loaded into memory: a view over bytes that may be hostile.
///
/// Everything that can go wrong throws `ELFError`; nothing traps. The view and all that it hands out are
/// valid as long as the bytes: `ELFFile` keeps bytes for those who must store them.
package struct ELFImage: ~Escapable {
    /// The bytes.
    package let bytes: RawSpan
    /// The file header.
    package let header: FileHeader
    /// What was added to target-relative addresses, where the bytes are memory; nil where they are a file.
    package let loadBias: UInt64?

    /// Views the bytes of a file.
    ///
    /// - Throws: `ELFError` where the header is not that of an ELF64 little-endian file.
    @_lifetime(copy bytes)
    package init(_ bytes: RawSpan) throws(ELFError) {
        self.init(bytes, header: try FileHeader(bytes))
    }

    /// Views bytes whose header was read before.
    @_lifetime(copy bytes)
    init(_ bytes: RawSpan, header: FileHeader) {
        self.bytes = bytes
        self.header = header
        self.loadBias = nil
    }

    /// Views memory that begins with the first byte of the first loaded page: offsets are those of the
    /// addresses, not those of the file. There are no sections.
    ///
    /// - Parameters:
    ///   - memory: The bytes, copied from memory.
    ///   - loadBias: What was added to target-relative addresses; the dynamic linker has added it to
    ///     pointers in the dynamic section too.
    /// - Throws: `ELFError` where the header is not that of an ELF64 little-endian file.
    @_lifetime(copy memory)
    package init(memory: RawSpan, loadBias: UInt64) throws(ELFError) {
        self.bytes = memory
        self.header = try FileHeader(memory, readingSections: false)
        self.loadBias = loadBias
    }

    // MARK: - Sections

    /// The section headers, with the null section at index 0; none where the file has none.
    ///
    /// - Throws: `ELFError` where they do not lie in the bytes.
    package var sections: Table<Section> {
        @_lifetime(copy self)
        get throws(ELFError) {
            Table(
                try bytes.slice(
                    offset: header.sectionTableOffset, count: UInt64(header.sectionCount) * UInt64(Section.recordSize)))
        }
    }

    /// The names of the sections.
    ///
    /// - Throws: `ELFError` where the section that holds them is not there.
    package var sectionNames: StringTable {
        @_lifetime(copy self)
        get throws(ELFError) {
            if header.sectionNamesIndex == 0 { return StringTable(try bytes.slice(offset: 0, count: 0)) }
            return StringTable(try contents(of: try sections[header.sectionNamesIndex]))
        }
    }

    /// A section's name, for people.
    ///
    /// - Throws: `ELFError` where it does not lie in the string table.
    package func name(of section: Section) throws(ELFError) -> String {
        try sectionNames.string(at: section.nameOffset)
    }

    /// The first section with a name, or nil.
    ///
    /// - Throws: `ELFError` where the section headers or their names do not lie in the bytes.
    package func section(named name: String) throws(ELFError) -> Section? {
        let sections = try sections
        let names = try sectionNames
        for index in 0..<sections.count {
            let section = try sections[index]
            if try names.matches(name, at: section.nameOffset) { return section }
        }
        return nil
    }

    /// The first section of a type, or nil.
    ///
    /// - Throws: `ELFError` where the section headers do not lie in the bytes.
    package func section(type: SectionType) throws(ELFError) -> Section? {
        let sections = try sections
        for index in 0..<sections.count {
            let section = try sections[index]
            if section.type == type { return section }
        }
        return nil
    }

    /// The bytes of a section; none for `SHT_NOBITS` and `SHT_NULL`.
    ///
    /// - Throws: `ELFError` where they do not lie in the file.
    @_lifetime(copy self)
    package func contents(of section: Section) throws(ELFError) -> RawSpan {
        if section.type == .noBits || section.type == .null { return try bytes.slice(offset: 0, count: 0) }
        return try bytes.slice(offset: section.offset, count: section.size)
    }

    // MARK: - Symbols and relocations

    /// The symbol table in a section of type `SHT_SYMTAB` or `SHT_DYNSYM`, with the strings its `link` names.
    ///
    /// - Throws: `ELFError` where the section is of another type or its parts are not where they must be.
    @_lifetime(copy self)
    package func symbolTable(in section: Section) throws(ELFError) -> SymbolTable {
        guard section.type == .symbolTable || section.type == .dynamicSymbols else {
            throw ELFError(.malformed, at: section.offset, "section \(section.index) is no symbol table")
        }
        guard section.entrySize == UInt64(ELFSymbol.recordSize) else {
            throw ELFError(.malformed, at: section.offset, "symbols of \(section.entrySize) bytes instead of 24")
        }
        let sections = try sections
        let strings = try sections[Int(section.link)]
        guard strings.type == .stringTable else {
            throw ELFError(.malformed, at: section.offset, "section \(section.link) is no string table")
        }
        let index = UInt32(truncatingIfNeeded: section.index)
        let extended = try sections.first { (other) throws(ELFError) in
            other.type == .extendedIndices && other.link == index
        }
        let none = try bytes.slice(offset: 0, count: 0)
        return SymbolTable(
            symbols: try contents(of: section), strings: StringTable(try contents(of: strings)),
            extendedIndices: extended == nil ? none : try contents(of: extended ?? section))
    }

    /// The full symbol table (`.symtab`), or nil where the file is stripped.
    ///
    /// - Throws: `ELFError` as `symbolTable(in:)`.
    package var symbols: SymbolTable? {
        @_lifetime(copy self)
        get throws(ELFError) {
            guard let section = try section(type: .symbolTable) else { return nil }
            return try symbolTable(in: section)
        }
    }

    /// The dynamic linker's symbol table by its section (`.dynsym`), or nil. Where there are no sections, ask
    /// `dynamic`.
    ///
    /// - Throws: `ELFError` as `symbolTable(in:)`.
    package var dynamicSymbols: SymbolTable? {
        @_lifetime(copy self)
        get throws(ELFError) {
            guard let section = try section(type: .dynamicSymbols) else { return nil }
            return try symbolTable(in: section)
        }
    }

    /// The relocations in a section of type `SHT_RELA`.
    ///
    /// - Throws: `ELFError` where the section is of another type or not in the file.
    @_lifetime(copy self)
    package func relocations(in section: Section) throws(ELFError) -> Table<ELFRelocation> {
        guard section.type == .relocationsWithAddends, section.entrySize == UInt64(ELFRelocation.recordSize) else {
            throw ELFError(.malformed, at: section.offset, "section \(section.index) holds no RELA relocations")
        }
        return Table(try contents(of: section))
    }

    /// All sections of type `SHT_RELA`, in the file's order.
    ///
    /// - Throws: `ELFError` where the section headers do not lie in the bytes, or a section holds relocations
    ///   without addends, which x86-64 and AArch64 do not use.
    package func relocationSections() throws(ELFError) -> [RelocationSection] {
        let sections = try sections
        var result: [RelocationSection] = []
        for index in 0..<sections.count {
            let section = try sections[index]
            if section.type == .relocations {
                throw ELFError(.unsupported, at: section.offset, "section \(index) holds relocations without addends")
            }
            guard section.type == .relocationsWithAddends else { continue }
            result.append(
                RelocationSection(section: section, appliesTo: Int(section.info), symbolTable: Int(section.link)))
        }
        return result
    }

    // MARK: - Notes

    /// The notes in a section.
    ///
    /// - Throws: `ELFError` where they do not lie in the file.
    @_lifetime(copy self)
    package func notes(in section: Section) throws(ELFError) -> NoteTable {
        NoteTable(try contents(of: section), alignment: section.alignment)
    }

    /// The notes in a segment.
    ///
    /// - Throws: `ELFError` where they do not lie in the bytes.
    @_lifetime(copy self)
    package func notes(in segment: Segment) throws(ELFError) -> NoteTable {
        NoteTable(try contents(of: segment), alignment: segment.alignment)
    }

    /// The name of this build (`NT_GNU_BUILD_ID`), from the segments of notes, or from the sections of notes
    /// where there are no such segments; nil where there is none.
    ///
    /// - Throws: `ELFError` where notes do not lie in the bytes.
    package func buildID() throws(ELFError) -> [UInt8]? {
        let segments = try segments
        var sawSegment = false
        for index in 0..<segments.count {
            let segment = try segments[index]
            guard segment.type == .note else { continue }
            sawSegment = true
            if let identifier = try Self.buildID(in: try notes(in: segment)) { return identifier }
        }
        if sawSegment { return nil }
        let sections = try sections
        for index in 0..<sections.count {
            let section = try sections[index]
            guard section.type == .note else { continue }
            if let identifier = try Self.buildID(in: try notes(in: section)) { return identifier }
        }
        return nil
    }

    private static func buildID(in notes: NoteTable) throws(ELFError) -> [UInt8]? {
        for note in try notes.parsed() where note.type == GNUNoteType.buildID && note.owner == "GNU" {
            return try notes.descriptor(of: note).copied()
        }
        return nil
    }
}
