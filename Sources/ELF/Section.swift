//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// `sh_type`: what a section holds (gABI, "Sections").
package struct SectionType: RawRepresentable, Sendable, Hashable {
    /// The value in the file.
    package var rawValue: UInt32
    /// Makes a type of its value in the file.
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// `SHT_NULL`: no section.
    package static var null: SectionType { SectionType(rawValue: 0) }
    /// `SHT_PROGBITS`: code or data.
    package static var programBits: SectionType { SectionType(rawValue: 1) }
    /// `SHT_SYMTAB`: the full symbol table.
    package static var symbolTable: SectionType { SectionType(rawValue: 2) }
    /// `SHT_STRTAB`: a string table.
    package static var stringTable: SectionType { SectionType(rawValue: 3) }
    /// `SHT_RELA`: relocations with addends.
    package static var relocationsWithAddends: SectionType { SectionType(rawValue: 4) }
    /// `SHT_HASH`: the symbol hash table of the gABI.
    package static var hash: SectionType { SectionType(rawValue: 5) }
    /// `SHT_DYNAMIC`: what the dynamic linker needs to know.
    package static var dynamic: SectionType { SectionType(rawValue: 6) }
    /// `SHT_NOTE`: notes.
    package static var note: SectionType { SectionType(rawValue: 7) }
    /// `SHT_NOBITS`: takes room in memory but none in the file.
    package static var noBits: SectionType { SectionType(rawValue: 8) }
    /// `SHT_REL`: relocations without addends.
    package static var relocations: SectionType { SectionType(rawValue: 9) }
    /// `SHT_DYNSYM`: the dynamic linker's symbol table.
    package static var dynamicSymbols: SectionType { SectionType(rawValue: 11) }
    /// `SHT_INIT_ARRAY`: addresses of functions to run at the start.
    package static var initArray: SectionType { SectionType(rawValue: 14) }
    /// `SHT_FINI_ARRAY`: addresses of functions to run at the end.
    package static var finiArray: SectionType { SectionType(rawValue: 15) }
    /// `SHT_PREINIT_ARRAY`: addresses of functions to run before `initArray`.
    package static var preinitArray: SectionType { SectionType(rawValue: 16) }
    /// `SHT_GROUP`: a COMDAT group.
    package static var group: SectionType { SectionType(rawValue: 17) }
    /// `SHT_SYMTAB_SHNDX`: section indices that do not fit into a symbol.
    package static var extendedIndices: SectionType { SectionType(rawValue: 18) }
    /// `SHT_RELR`: relative relocations, packed.
    package static var packedRelativeRelocations: SectionType { SectionType(rawValue: 19) }
    /// `SHT_GNU_HASH`: GNU's symbol hash table.
    package static var gnuHash: SectionType { SectionType(rawValue: 0x6fff_fff6) }
    /// `SHT_GNU_verdef`: versions that the file defines.
    package static var versionDefinitions: SectionType { SectionType(rawValue: 0x6fff_fffd) }
    /// `SHT_GNU_verneed`: versions that the file needs.
    package static var versionNeeds: SectionType { SectionType(rawValue: 0x6fff_fffe) }
    /// `SHT_GNU_versym`: the version of each dynamic symbol.
    package static var symbolVersions: SectionType { SectionType(rawValue: 0x6fff_ffff) }
    /// `SHT_X86_64_UNWIND`: unwind rules (psABI; GNU as writes `programBits` instead).
    package static var x86_64Unwind: SectionType { SectionType(rawValue: 0x7000_0001) }
}

/// `sh_flags` of a section.
package struct SectionFlags: OptionSet, Sendable, Hashable {
    /// The value in the file.
    package var rawValue: UInt64
    /// Makes flags of their value in the file.
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// `SHF_WRITE`: writable in memory.
    package static var write: SectionFlags { SectionFlags(rawValue: 0x1) }
    /// `SHF_ALLOC`: takes room in memory.
    package static var allocated: SectionFlags { SectionFlags(rawValue: 0x2) }
    /// `SHF_EXECINSTR`: machine code.
    package static var executable: SectionFlags { SectionFlags(rawValue: 0x4) }
    /// `SHF_MERGE`: equal elements may be merged.
    package static var merge: SectionFlags { SectionFlags(rawValue: 0x10) }
    /// `SHF_STRINGS`: holds NUL-terminated strings.
    package static var strings: SectionFlags { SectionFlags(rawValue: 0x20) }
    /// `SHF_INFO_LINK`: `info` is a section index.
    package static var infoLink: SectionFlags { SectionFlags(rawValue: 0x40) }
    /// `SHF_LINK_ORDER`: ordered as the section that `link` names.
    package static var linkOrder: SectionFlags { SectionFlags(rawValue: 0x80) }
    /// `SHF_GROUP`: member of a group.
    package static var group: SectionFlags { SectionFlags(rawValue: 0x200) }
    /// `SHF_TLS`: thread-local.
    package static var threadLocal: SectionFlags { SectionFlags(rawValue: 0x400) }
    /// `SHF_COMPRESSED`: begins with a compression header.
    package static var compressed: SectionFlags { SectionFlags(rawValue: 0x800) }
    /// `SHF_GNU_RETAIN`: not thrown away by the linker's garbage collection.
    package static var retain: SectionFlags { SectionFlags(rawValue: 0x20_0000) }
    /// `SHF_EXCLUDE`: left out of executables and shared objects.
    package static var exclude: SectionFlags { SectionFlags(rawValue: 0x8000_0000) }
}

/// A section header.
package struct Section: ELFRecord, Equatable {
    /// Its index in the section header table.
    package var index: Int
    /// `sh_name`: offset of the name in the section that `FileHeader.sectionNamesIndex` tells.
    package var nameOffset: UInt32
    /// `sh_type`.
    package var type: SectionType
    /// `sh_flags`.
    package var flags: SectionFlags
    /// `sh_addr`: target-relative address, 0 where it is not in memory.
    package var address: UInt64
    /// `sh_offset`: file offset of the contents.
    package var offset: UInt64
    /// `sh_size`: size in bytes (in memory only, for `noBits`).
    package var size: UInt64
    /// `sh_link`: index of a section that belongs to it.
    package var link: UInt32
    /// `sh_info`: depends on the type.
    package var info: UInt32
    /// `sh_addralign`: 0 and 1 mean none.
    package var alignment: UInt64
    /// `sh_entsize`: size of each record, 0 where there are none of fixed size.
    package var entrySize: UInt64

    /// Size of a section header in the file.
    @inlinable package static var recordSize: Int { 64 }

    /// Reads a section header.
    package init(unchecked bytes: RawSpan, at offset: Int, index: Int) {
        self.index = index
        nameOffset = bytes.uncheckedInteger(at: offset)
        type = SectionType(rawValue: bytes.uncheckedInteger(at: offset &+ 4))
        flags = SectionFlags(rawValue: bytes.uncheckedInteger(at: offset &+ 8))
        address = bytes.uncheckedInteger(at: offset &+ 16)
        self.offset = bytes.uncheckedInteger(at: offset &+ 24)
        size = bytes.uncheckedInteger(at: offset &+ 32)
        link = bytes.uncheckedInteger(at: offset &+ 40)
        info = bytes.uncheckedInteger(at: offset &+ 44)
        alignment = bytes.uncheckedInteger(at: offset &+ 48)
        entrySize = bytes.uncheckedInteger(at: offset &+ 56)
    }
}
