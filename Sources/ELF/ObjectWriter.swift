//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Writes an ELF64 little-endian relocatable object.
///
/// What was added in the same order gives the same bytes. The layout is: file header, section headers, the
/// sections in the order they were added, one `.rela` section for each that has relocations, `.symtab`, `.strtab`,
/// `.shstrtab`, and the trailing section, if there is one, as the last bytes of the file.
package struct ObjectWriter: Sendable {
    private struct NewSection: Sendable {
        var name: String
        var type: SectionType
        var flags: SectionFlags
        var alignment: UInt64
        var contents: [UInt8]
        /// Size in memory for `SHT_NOBITS`, else `contents.count`.
        var size: UInt64
        var link: UInt32 = 0
        var info: UInt32 = 0
        var entrySize: UInt64 = 0
    }

    private let machine: Machine
    private var sections: [NewSection] = []
    private var trailing: NewSection?
    private var symbols: [UInt8] = [UInt8](repeating: 0, count: ELFSymbol.recordSize)
    private var localCount: UInt32 = 1
    private var sawGlobal = false
    private var symbolNames = StringTableWriter()
    private var relocations: [[ELFRelocation]] = []

    /// Begins an object for an architecture.
    package init(machine: Machine) {
        self.machine = machine
    }

    // MARK: - What goes in

    /// Adds a section and gives its index.
    ///
    /// - Parameters:
    ///   - name: `sh_name`.
    ///   - type: `sh_type`.
    ///   - flags: `sh_flags`.
    ///   - alignment: `sh_addralign`, in bytes.
    ///   - contents: The bytes.
    /// - Returns: The section's index in the file.
    package mutating func addSection(
        name: String, type: SectionType, flags: SectionFlags, alignment: UInt64, contents: [UInt8]
    ) -> Int {
        sections.append(
            NewSection(
                name: name, type: type, flags: flags, alignment: alignment, contents: contents,
                size: UInt64(contents.count)))
        relocations.append([])
        return sections.count
    }

    /// Adds a section that takes room in memory only (`SHT_NOBITS`) and gives its index.
    package mutating func addNoBits(name: String, flags: SectionFlags, alignment: UInt64, size: UInt64) -> Int {
        sections.append(
            NewSection(name: name, type: .noBits, flags: flags, alignment: alignment, contents: [], size: size))
        relocations.append([])
        return sections.count
    }

    /// Sets the section whose contents are the last bytes of the file.
    package mutating func setTrailingSection(name: String, type: SectionType, alignment: UInt64, contents: [UInt8]) {
        trailing = NewSection(
            name: name, type: type, flags: [], alignment: alignment, contents: contents, size: UInt64(contents.count))
    }

    /// Adds a symbol and gives its index. All local symbols come before the others (gABI, "Symbol Table").
    ///
    /// - Parameters:
    ///   - name: `st_name`; empty for none.
    ///   - binding: Who sees it.
    ///   - type: What it names.
    ///   - section: Index of its section, or a `SpecialIndex`.
    ///   - value: Offset in its section.
    ///   - size: Size in bytes, 0 if not known.
    /// - Returns: The symbol's index in the file.
    /// - Throws: `ELFError` (`malformed`) for a local symbol after one that is not, (`unsupported`) for a
    ///   section index that does not fit.
    package mutating func addSymbol(
        name: String, binding: SymbolBinding, type: SymbolType, section: Int, value: UInt64, size: UInt64
    ) throws(ELFError) -> UInt32 {
        let index = UInt32(symbols.count / ELFSymbol.recordSize)
        guard let section = UInt16(exactly: section) else {
            throw ELFError(.unsupported, at: UInt64(clamping: section), "a section index that does not fit")
        }
        if binding == .local {
            guard !sawGlobal else {
                throw ELFError(.malformed, at: UInt64(index), "a local symbol comes after one that is not local")
            }
            localCount = index + 1
        } else {
            sawGlobal = true
        }
        symbols.append(littleEndian: symbolNames.add(name))
        symbols.append(binding.rawValue << 4 | type.rawValue & 15)
        symbols.append(0)
        symbols.append(littleEndian: section)
        symbols.append(littleEndian: value)
        symbols.append(littleEndian: size)
        return index
    }

    /// Adds a relocation of a section.
    ///
    /// - Throws: `ELFError` (`outOfBounds`) where no section with that index was added.
    package mutating func addRelocation(_ relocation: ELFRelocation, toSection section: Int) throws(ELFError) {
        guard section >= 1, section <= sections.count else { throw .noSuchIndex(section, count: sections.count) }
        relocations[section - 1].append(relocation)
    }

    // MARK: - What comes out

    /// The object's bytes.
    ///
    /// - Throws: `ELFError` (`unsupported`) for more sections than a header counts.
    package func bytes() throws(ELFError) -> [UInt8] {
        var all = sections
        let symbolTable = UInt32(sections.count + relocations.count { !$0.isEmpty } + 1)
        for (index, table) in relocations.enumerated() where !table.isEmpty {
            all.append(relocationSection(of: index, table: table, symbolTable: symbolTable))
        }
        all.append(
            NewSection(
                name: ".symtab", type: .symbolTable, flags: [], alignment: 8, contents: symbols,
                size: UInt64(symbols.count), link: symbolTable + 1, info: localCount,
                entrySize: UInt64(ELFSymbol.recordSize)))
        all.append(Self.stringSection(name: ".strtab", contents: symbolNames.bytes))
        var names = StringTableWriter()
        var nameOffsets = all.map { names.add($0.name) }
        nameOffsets.append(names.add(".shstrtab"))
        if let trailing { nameOffsets.append(names.add(trailing.name)) }
        all.append(Self.stringSection(name: ".shstrtab", contents: names.bytes))
        let namesIndex = all.count
        if let trailing { all.append(trailing) }

        guard all.count + 1 < Int(SpecialIndex.firstReserved) else {
            throw ELFError(.unsupported, at: UInt64(all.count), "more sections than are written here")
        }
        var output = header(sectionCount: UInt16(all.count + 1), namesIndex: UInt16(namesIndex))
        output.append(contentsOf: [UInt8](repeating: 0, count: Section.recordSize))
        let offsets = Self.appendHeaders(of: all, nameOffsets: nameOffsets, to: &output)
        for (section, offset) in zip(all, offsets) where section.type != .noBits {
            output.append(contentsOf: [UInt8](repeating: 0, count: offset - output.count))
            output.append(contentsOf: section.contents)
        }
        return output
    }

    private func header(sectionCount: UInt16, namesIndex: UInt16) -> [UInt8] {
        // ELFCLASS64, ELFDATA2LSB, EV_CURRENT, ELFOSABI_NONE.
        var output: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        output.append(littleEndian: ObjectType.relocatable.rawValue)
        output.append(littleEndian: machine.rawValue)
        output.append(littleEndian: UInt32(1))
        output.append(littleEndian: UInt64(0))  // e_entry
        output.append(littleEndian: UInt64(0))  // e_phoff
        output.append(littleEndian: UInt64(FileHeader.size))  // e_shoff
        output.append(littleEndian: UInt32(0))  // e_flags
        output.append(littleEndian: UInt16(FileHeader.size))
        output.append(littleEndian: UInt16(0))  // e_phentsize
        output.append(littleEndian: UInt16(0))  // e_phnum
        output.append(littleEndian: UInt16(Section.recordSize))
        output.append(littleEndian: sectionCount)
        output.append(littleEndian: namesIndex)
        return output
    }

    private static func appendHeaders(
        of sections: [NewSection], nameOffsets: [UInt32], to output: inout [UInt8]
    ) -> [Int] {
        var offsets: [Int] = []
        var position = FileHeader.size + (sections.count + 1) * Section.recordSize
        for (section, name) in zip(sections, nameOffsets) {
            // What takes no room in the file has no place to align.
            let alignment = section.type == .noBits ? 1 : max(1, Int(section.alignment))
            position = (position + alignment - 1) / alignment * alignment
            offsets.append(position)
            output.append(littleEndian: name)
            output.append(littleEndian: section.type.rawValue)
            output.append(littleEndian: section.flags.rawValue)
            output.append(littleEndian: UInt64(0))  // sh_addr
            output.append(littleEndian: UInt64(position))
            output.append(littleEndian: section.size)
            output.append(littleEndian: section.link)
            output.append(littleEndian: section.info)
            output.append(littleEndian: section.alignment)
            output.append(littleEndian: section.entrySize)
            position += section.contents.count
        }
        return offsets
    }

    private func relocationSection(of index: Int, table: [ELFRelocation], symbolTable: UInt32) -> NewSection {
        var contents: [UInt8] = []
        contents.reserveCapacity(table.count * ELFRelocation.recordSize)
        for relocation in table {
            contents.append(littleEndian: relocation.offset)
            contents.append(littleEndian: relocation.type.rawValue)
            contents.append(littleEndian: relocation.symbol)
            contents.append(littleEndian: relocation.addend)
        }
        return NewSection(
            name: ".rela" + sections[index].name, type: .relocationsWithAddends, flags: .infoLink, alignment: 8,
            contents: contents, size: UInt64(contents.count), link: symbolTable, info: UInt32(index + 1),
            entrySize: UInt64(ELFRelocation.recordSize))
    }

    private static func stringSection(name: String, contents: [UInt8]) -> NewSection {
        NewSection(
            name: name, type: .stringTable, flags: [], alignment: 1, contents: contents, size: UInt64(contents.count))
    }
}

/// Makes a string table; equal strings are kept once, in the order they were first added.
private struct StringTableWriter: Sendable {
    private(set) var bytes: [UInt8] = [0]
    // Keyed by bytes: String's own equality does not tell composed and decomposed letters apart.
    private var offsets: [[UInt8]: UInt32] = [:]

    mutating func add(_ string: String) -> UInt32 {
        if string.isEmpty { return 0 }
        let encoded = [UInt8](string.utf8)
        if let offset = offsets[encoded] { return offset }
        let offset = UInt32(bytes.count)
        offsets[encoded] = offset
        bytes.append(contentsOf: encoded)
        bytes.append(0)
        return offset
    }
}
