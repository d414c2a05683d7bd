//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The upper half of `st_info`: who sees a symbol (gABI, "Symbol Table").
@usableFromInline
package struct SymbolBinding: RawRepresentable, Sendable, Hashable {
    /// The value in the file, 0 to 15.
    @usableFromInline package var rawValue: UInt8
    /// Makes a binding of its value in the file.
    @inlinable package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// `STB_LOCAL`.
    package static var local: SymbolBinding { SymbolBinding(rawValue: 0) }
    /// `STB_GLOBAL`.
    package static var global: SymbolBinding { SymbolBinding(rawValue: 1) }
    /// `STB_WEAK`.
    package static var weak: SymbolBinding { SymbolBinding(rawValue: 2) }
    /// `STB_GNU_UNIQUE`.
    package static var unique: SymbolBinding { SymbolBinding(rawValue: 10) }
}

/// The lower half of `st_info`: what a symbol names.
@usableFromInline
package struct SymbolType: RawRepresentable, Sendable, Hashable {
    /// The value in the file, 0 to 15.
    @usableFromInline package var rawValue: UInt8
    /// Makes a type of its value in the file.
    @inlinable package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// `STT_NOTYPE`.
    package static var none: SymbolType { SymbolType(rawValue: 0) }
    /// `STT_OBJECT`: data.
    package static var object: SymbolType { SymbolType(rawValue: 1) }
    /// `STT_FUNC`: code.
    package static var function: SymbolType { SymbolType(rawValue: 2) }
    /// `STT_SECTION`: a section.
    package static var section: SymbolType { SymbolType(rawValue: 3) }
    /// `STT_FILE`: a source file's name.
    package static var file: SymbolType { SymbolType(rawValue: 4) }
    /// `STT_COMMON`: an uninitialised common block.
    package static var common: SymbolType { SymbolType(rawValue: 5) }
    /// `STT_TLS`: a thread-local datum.
    package static var threadLocal: SymbolType { SymbolType(rawValue: 6) }
    /// `STT_GNU_IFUNC`: a function that returns the function to use.
    package static var indirectFunction: SymbolType { SymbolType(rawValue: 10) }
}

/// `st_other`: how far a symbol is seen.
@usableFromInline
package struct SymbolVisibility: RawRepresentable, Sendable, Hashable {
    /// The value in the file, 0 to 3.
    @usableFromInline package var rawValue: UInt8
    /// Makes a visibility of its value in the file.
    @inlinable package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// `STV_DEFAULT`.
    package static var `default`: SymbolVisibility { SymbolVisibility(rawValue: 0) }
    /// `STV_INTERNAL`.
    package static var `internal`: SymbolVisibility { SymbolVisibility(rawValue: 1) }
    /// `STV_HIDDEN`.
    package static var hidden: SymbolVisibility { SymbolVisibility(rawValue: 2) }
    /// `STV_PROTECTED`.
    package static var protected: SymbolVisibility { SymbolVisibility(rawValue: 3) }
}

/// Section indices with a meaning of their own (gABI, "Special Section Indexes").
package enum SpecialIndex {
    /// `SHN_UNDEF`: defined elsewhere.
    package static var undefined: UInt16 { 0 }
    /// `SHN_LORESERVE`: from here on an index is not a section's.
    package static var firstReserved: UInt16 { 0xff00 }
    /// `SHN_ABS`: the value is absolute.
    package static var absolute: UInt16 { 0xfff1 }
    /// `SHN_COMMON`: a common block that has no place yet.
    package static var common: UInt16 { 0xfff2 }
    /// `SHN_XINDEX`: the index stands in the table of extended indices.
    package static var extended: UInt16 { 0xffff }
}

/// A symbol, as the file holds it: its name stays an offset until it is asked for.
@usableFromInline
package struct ELFSymbol: ELFRecord, Equatable {
    /// Its index in the symbol table.
    @usableFromInline package var index: Int
    /// `st_name`: offset of the name in the table's string table.
    @usableFromInline package var nameOffset: UInt32
    /// `st_info`: binding and type.
    @usableFromInline package var info: UInt8
    /// `st_other`: visibility.
    @usableFromInline package var other: UInt8
    /// `st_shndx`: index of the section it is defined in, or a `SpecialIndex`.
    @usableFromInline package var sectionIndex: UInt16
    /// `st_value`: a target-relative address; in a relocatable object an offset in its section.
    @usableFromInline package var value: UInt64
    /// `st_size`: size in bytes, 0 if not known.
    @usableFromInline package var size: UInt64

    /// Size of a symbol in the file.
    @inlinable package static var recordSize: Int { 24 }

    /// Who sees it.
    @inlinable package var binding: SymbolBinding { SymbolBinding(rawValue: info >> 4) }
    /// What it names.
    @inlinable package var type: SymbolType { SymbolType(rawValue: info & 15) }
    /// How far it is seen.
    @inlinable package var visibility: SymbolVisibility { SymbolVisibility(rawValue: other & 3) }
    /// Whether it is defined in this file.
    @inlinable package var isDefined: Bool { sectionIndex != 0 }

    /// Reads a symbol.
    @inlinable
    package init(unchecked bytes: RawSpan, at offset: Int, index: Int) {
        self.index = index
        nameOffset = bytes.uncheckedInteger(at: offset)
        info = bytes.uncheckedInteger(at: offset &+ 4)
        other = bytes.uncheckedInteger(at: offset &+ 5)
        sectionIndex = bytes.uncheckedInteger(at: offset &+ 6)
        value = bytes.uncheckedInteger(at: offset &+ 8)
        size = bytes.uncheckedInteger(at: offset &+ 16)
    }
}

/// A symbol table together with its string table.
@usableFromInline
package struct SymbolTable: ~Escapable {
    /// The symbols.
    @usableFromInline package let symbols: Table<ELFSymbol>
    /// Their names.
    package let strings: StringTable
    /// `SHT_SYMTAB_SHNDX`, empty where there is none.
    package let extendedIndices: RawSpan

    /// Makes a symbol table of its parts.
    @_lifetime(copy symbols, copy strings, copy extendedIndices)
    package init(symbols: RawSpan, strings: StringTable, extendedIndices: RawSpan) {
        self.symbols = Table(symbols)
        self.strings = strings
        self.extendedIndices = extendedIndices
    }

    /// Number of symbols, with the null symbol that has index 0.
    @inlinable package var count: Int { symbols.count }

    /// The symbol with an index.
    ///
    /// - Throws: `ELFError` (`outOfBounds`) where there is none.
    @inlinable
    package subscript(index: Int) -> ELFSymbol {
        get throws(ELFError) { try symbols[index] }
    }

    /// A symbol's name, for people (what is not UTF-8 is replaced). Section symbols have none of their own.
    ///
    /// - Throws: `ELFError` where the name lies outside the string table.
    package func name(of symbol: ELFSymbol) throws(ELFError) -> String {
        try strings.string(at: symbol.nameOffset)
    }

    /// The bytes of a symbol's name.
    ///
    /// - Throws: `ELFError` where the name lies outside the string table.
    @_lifetime(copy self)
    package func nameBytes(of symbol: ELFSymbol) throws(ELFError) -> RawSpan {
        try strings.bytes(at: symbol.nameOffset)
    }

    /// The first symbol with a name, by walking all of them.
    ///
    /// - Throws: `ELFError` where a name lies outside the string table.
    package func first(named name: String) throws(ELFError) -> ELFSymbol? {
        for index in 0..<count {
            let symbol = try symbols[index]
            if try strings.matches(name, at: symbol.nameOffset) { return symbol }
        }
        return nil
    }

    /// The index of the section that a symbol is defined in, or nil where it is undefined, absolute or common.
    ///
    /// - Throws: `ELFError` where the extended index is missing.
    package func section(of symbol: ELFSymbol) throws(ELFError) -> Int? {
        if symbol.sectionIndex == SpecialIndex.extended {
            guard symbol.index >= 0, symbol.index < extendedIndices.byteCount / 4 else {
                throw ELFError(.malformed, at: UInt64(clamping: symbol.index), "a symbol's extended index is missing")
            }
            return Int(extendedIndices.uncheckedInteger(at: symbol.index &* 4, as: UInt32.self))
        }
        if symbol.sectionIndex == 0 || symbol.sectionIndex >= SpecialIndex.firstReserved { return nil }
        return Int(symbol.sectionIndex)
    }
}
