//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// `d_tag`: what an entry of the dynamic section tells (gABI, "Dynamic Section").
package struct DynamicTag: RawRepresentable, Sendable, Hashable {
    /// The value in the file.
    package var rawValue: Int64
    /// Makes a tag of its value in the file.
    package init(rawValue: Int64) { self.rawValue = rawValue }

    /// `DT_NULL`: the end.
    package static var null: DynamicTag { DynamicTag(rawValue: 0) }
    /// `DT_NEEDED`: string offset of a needed library's name.
    package static var needed: DynamicTag { DynamicTag(rawValue: 1) }
    /// `DT_PLTRELSZ`: size of the PLT's relocations.
    package static var pltRelocationsSize: DynamicTag { DynamicTag(rawValue: 2) }
    /// `DT_PLTGOT`: address of the PLT's GOT.
    package static var pltGOT: DynamicTag { DynamicTag(rawValue: 3) }
    /// `DT_HASH`: address of the hash table.
    package static var hash: DynamicTag { DynamicTag(rawValue: 4) }
    /// `DT_STRTAB`: address of the string table.
    package static var stringTable: DynamicTag { DynamicTag(rawValue: 5) }
    /// `DT_SYMTAB`: address of the symbol table.
    package static var symbolTable: DynamicTag { DynamicTag(rawValue: 6) }
    /// `DT_RELA`: address of the relocations.
    package static var relocations: DynamicTag { DynamicTag(rawValue: 7) }
    /// `DT_RELASZ`: size of the relocations.
    package static var relocationsSize: DynamicTag { DynamicTag(rawValue: 8) }
    /// `DT_STRSZ`: size of the string table.
    package static var stringTableSize: DynamicTag { DynamicTag(rawValue: 10) }
    /// `DT_INIT`: address of the initialisation function.
    package static var initialiser: DynamicTag { DynamicTag(rawValue: 12) }
    /// `DT_FINI`: address of the termination function.
    package static var finaliser: DynamicTag { DynamicTag(rawValue: 13) }
    /// `DT_SONAME`: string offset of the library's own name.
    package static var soname: DynamicTag { DynamicTag(rawValue: 14) }
    /// `DT_RPATH`: string offset of the search path.
    package static var rpath: DynamicTag { DynamicTag(rawValue: 15) }
    /// `DT_SYMBOLIC`: symbols are looked for in the library itself first.
    package static var symbolic: DynamicTag { DynamicTag(rawValue: 16) }
    /// `DT_DEBUG`: address of the debugger's structure, written by the dynamic linker.
    package static var debug: DynamicTag { DynamicTag(rawValue: 21) }
    /// `DT_TEXTREL`: relocations change code.
    package static var textRelocations: DynamicTag { DynamicTag(rawValue: 22) }
    /// `DT_JMPREL`: address of the PLT's relocations.
    package static var pltRelocations: DynamicTag { DynamicTag(rawValue: 23) }
    /// `DT_BIND_NOW`: everything is bound at the start.
    package static var bindNow: DynamicTag { DynamicTag(rawValue: 24) }
    /// `DT_RUNPATH`: string offset of the search path.
    package static var runpath: DynamicTag { DynamicTag(rawValue: 29) }
    /// `DT_FLAGS`.
    package static var flags: DynamicTag { DynamicTag(rawValue: 30) }
    /// `DT_RELRSZ`: size of the packed relative relocations.
    package static var packedRelativeRelocationsSize: DynamicTag { DynamicTag(rawValue: 35) }
    /// `DT_RELR`: address of the packed relative relocations.
    package static var packedRelativeRelocations: DynamicTag { DynamicTag(rawValue: 36) }
    /// `DT_GNU_HASH`: address of GNU's hash table.
    package static var gnuHash: DynamicTag { DynamicTag(rawValue: 0x6fff_fef5) }
    /// `DT_VERSYM`: address of the symbols' versions.
    package static var symbolVersions: DynamicTag { DynamicTag(rawValue: 0x6fff_fff0) }
    /// `DT_FLAGS_1`.
    package static var flags1: DynamicTag { DynamicTag(rawValue: 0x6fff_fffb) }
    /// `DT_VERDEF`: address of the versions that are defined.
    package static var versionDefinitions: DynamicTag { DynamicTag(rawValue: 0x6fff_fffc) }
    /// `DT_VERDEFNUM`: number of versions that are defined.
    package static var versionDefinitionCount: DynamicTag { DynamicTag(rawValue: 0x6fff_fffd) }
    /// `DT_VERNEED`: address of the versions that are needed.
    package static var versionNeeds: DynamicTag { DynamicTag(rawValue: 0x6fff_fffe) }
    /// `DT_VERNEEDNUM`: number of files whose versions are needed.
    package static var versionNeedCount: DynamicTag { DynamicTag(rawValue: 0x6fff_ffff) }
}

/// An entry of the dynamic section.
package struct DynamicEntry: ELFRecord, Equatable {
    /// `d_tag`.
    package var tag: DynamicTag
    /// `d_val` or `d_ptr`.
    package var value: UInt64

    /// Size of an entry in the file.
    @inlinable package static var recordSize: Int { 16 }

    /// Reads an entry.
    package init(unchecked bytes: RawSpan, at offset: Int, index: Int) {
        tag = DynamicTag(rawValue: bytes.uncheckedInteger(at: offset))
        value = bytes.uncheckedInteger(at: offset &+ 8)
    }
}
