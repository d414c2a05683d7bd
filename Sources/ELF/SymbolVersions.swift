//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The versions of dynamic symbols (LSB Core, "Symbol Versioning"): `.gnu.version`, `.gnu.version_d`,
/// `.gnu.version_r`.
package struct SymbolVersions: ~Escapable {
    /// A version that the file defines or needs.
    package struct Version: Sendable, Equatable {
        /// The number that symbols have, without the hidden bit.
        package var index: UInt16
        /// Offset of its name in the dynamic string table.
        package var nameOffset: UInt32
        /// Offset of the needed file's name in the dynamic string table, nil for one that is defined here.
        package var fileOffset: UInt32?
        /// Whether it only names the file itself (`VER_FLG_BASE`).
        package var isBase: Bool
    }

    /// One number for each symbol: 0 local, 1 global without version; the top bit hides the symbol.
    private let table: RawSpan
    /// The names.
    package let strings: StringTable
    /// Versions by the order in the file.
    package private(set) var versions: [Version] = []
    private var records = 0
    private var positions: [UInt16: Int] = [:]

    /// Makes versions that have no names yet.
    @_lifetime(copy table, copy strings)
    init(table: RawSpan, strings: StringTable) {
        self.table = table
        self.strings = strings
    }

    /// Number of symbols that have a version number.
    package var count: Int { table.byteCount / 2 }

    /// The version number of a symbol, without the hidden bit, and whether it is hidden (`name@VERSION`
    /// instead of the default `name@@VERSION`).
    ///
    /// - Throws: `ELFError` (`outOfBounds`) where the symbol has none.
    package func number(ofSymbol index: Int) throws(ELFError) -> (index: UInt16, hidden: Bool) {
        guard index >= 0, index < count else { throw .noSuchIndex(index, count: count) }
        let value = table.uncheckedInteger(at: index &* 2, as: UInt16.self)
        return (value & 0x7fff, value & 0x8000 != 0)
    }

    /// The version of a symbol, or nil where it has none (local, or global without version).
    ///
    /// - Throws: `ELFError` where the symbol has no number, or its number names no version.
    package func version(ofSymbol index: Int) throws(ELFError) -> Version? {
        let number = try number(ofSymbol: index).index
        if let position = positions[number] {
            let version = versions[position]
            return version.isBase ? nil : version
        }
        if number <= 1 { return nil }
        throw ELFError(.malformed, at: UInt64(number), "symbol \(index) has a version that is not there")
    }

    /// A version's name, for people.
    ///
    /// - Throws: `ELFError` where it does not lie in the string table.
    package func name(of version: Version) throws(ELFError) -> String {
        try strings.string(at: version.nameOffset)
    }

    // MARK: - Reading

    /// Reads `.gnu.version_d`: `Elf64_Verdef` records (20 bytes) that name their first `Elf64_Verdaux`.
    mutating func addDefinitions(_ bytes: RawSpan, count: UInt64) throws(ELFError) {
        var position: UInt64 = 0
        for _ in 0..<count {
            let record = try bytes.slice(offset: position, count: 20)
            let flags = record.uncheckedInteger(at: 2, as: UInt16.self)
            let index = record.uncheckedInteger(at: 4, as: UInt16.self)
            let auxiliary = position + UInt64(record.uncheckedInteger(at: 12, as: UInt32.self))
            let next = UInt64(record.uncheckedInteger(at: 16, as: UInt32.self))
            let name = try bytes.integer(at: auxiliary, as: UInt32.self)
            try add(Version(index: index & 0x7fff, nameOffset: name, fileOffset: nil, isBase: flags & 1 != 0))
            if next == 0 { return }
            position += next
        }
    }

    /// Reads `.gnu.version_r`: `Elf64_Verneed` records (16 bytes) with a chain of `Elf64_Vernaux` (16 bytes).
    mutating func addNeeds(_ bytes: RawSpan, count: UInt64) throws(ELFError) {
        var position: UInt64 = 0
        for _ in 0..<count {
            let record = try bytes.slice(offset: position, count: 16)
            let file = record.uncheckedInteger(at: 4, as: UInt32.self)
            var auxiliary = position + UInt64(record.uncheckedInteger(at: 8, as: UInt32.self))
            for _ in 0..<record.uncheckedInteger(at: 2, as: UInt16.self) {
                let entry = try bytes.slice(offset: auxiliary, count: 16)
                let index = entry.uncheckedInteger(at: 6, as: UInt16.self)
                let name = entry.uncheckedInteger(at: 8, as: UInt32.self)
                try add(Version(index: index & 0x7fff, nameOffset: name, fileOffset: file, isBase: false))
                let next = UInt64(entry.uncheckedInteger(at: 12, as: UInt32.self))
                if next == 0 { break }
                auxiliary += next
            }
            let next = UInt64(record.uncheckedInteger(at: 12, as: UInt32.self))
            if next == 0 { return }
            position += next
        }
    }

    private mutating func add(_ version: Version) throws(ELFError) {
        // A number has 15 bits. Without this limit a hostile chain of overlapping records takes hours.
        records += 1
        guard records <= 0x8000 else {
            throw ELFError(.malformed, at: UInt64(version.nameOffset), "more versions than there are numbers")
        }
        // The first one wins, as in the dynamic linker's own table.
        guard positions[version.index] == nil else { return }
        positions[version.index] = versions.count
        versions.append(version)
    }
}
