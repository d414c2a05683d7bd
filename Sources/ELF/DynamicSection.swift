//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The dynamic section, found through `PT_DYNAMIC`: works without section headers and on memory.
package struct DynamicSection: ~Escapable {
    /// The image that it belongs to.
    package let image: ELFImage
    /// The entries, as far as the first `DT_NULL`.
    package let entries: Table<DynamicEntry>

    /// Views the dynamic section of an image.
    @_lifetime(copy image, copy contents)
    init(_ image: ELFImage, contents: RawSpan) throws(ELFError) {
        let all = Table<DynamicEntry>(contents)
        var count = 0
        while count < all.count, try all[count].tag != .null { count += 1 }
        self.entries = Table(contents.extracting(0..<count * DynamicEntry.recordSize))
        self.image = image
    }

    /// The value of the first entry with a tag, or nil. Pointers in memory are absolute: see `address(_:)`.
    ///
    /// - Throws: Nothing in practice; the table was checked.
    package func value(_ tag: DynamicTag) throws(ELFError) -> UInt64? {
        for index in 0..<entries.count {
            let entry = try entries[index]
            if entry.tag == tag { return entry.value }
        }
        return nil
    }

    /// The target-relative address in the first entry with a tag, or nil. In memory the dynamic linker may
    /// have added the load bias (glibc does, musl and the vDSO do not): it is taken off where it was added.
    ///
    /// - Throws: Nothing in practice; the table was checked.
    package func address(_ tag: DynamicTag) throws(ELFError) -> UInt64? {
        guard let value = try value(tag) else { return nil }
        guard let bias = image.loadBias, value >= bias else { return value }
        return value - bias
    }

    /// The dynamic string table (`DT_STRTAB`, `DT_STRSZ`).
    ///
    /// - Throws: `ELFError` where it is missing or not in the bytes.
    package var strings: StringTable {
        @_lifetime(copy self)
        get throws(ELFError) {
            guard let address = try address(.stringTable), let size = try value(.stringTableSize) else {
                throw ELFError(.notFound, at: 0, "the dynamic section names no string table")
            }
            return StringTable(try image.contents(atAddress: address, count: size))
        }
    }

    /// The library's own name (`DT_SONAME`), or nil.
    ///
    /// - Throws: `ELFError` where the string table or the name is not in the bytes.
    package func soname() throws(ELFError) -> String? {
        guard let value = try value(.soname) else { return nil }
        return try strings.string(at: UInt32(clamping: value))
    }

    /// The names of the needed libraries (`DT_NEEDED`), in the file's order.
    ///
    /// - Throws: `ELFError` where the string table or a name is not in the bytes.
    package func needed() throws(ELFError) -> [String] {
        var names: [String] = []
        for index in 0..<entries.count {
            let entry = try entries[index]
            if entry.tag == .needed { names.append(try strings.string(at: UInt32(clamping: entry.value))) }
        }
        return names
    }

    /// Whether relocations change code (`DT_TEXTREL`, or `DF_TEXTREL` in `DT_FLAGS`).
    ///
    /// - Throws: Nothing in practice; the table was checked.
    package func hasTextRelocations() throws(ELFError) -> Bool {
        if try value(.textRelocations) != nil { return true }
        return (try value(.flags) ?? 0) & 0x4 != 0
    }

    /// The relocations of `DT_RELA`; none where there are none.
    ///
    /// - Throws: `ELFError` where they are not in the bytes.
    package var relocations: Table<ELFRelocation> {
        @_lifetime(copy self)
        get throws(ELFError) { try relocations(.relocations, size: .relocationsSize) }
    }

    /// The relocations of `DT_JMPREL` (those of the PLT); none where there are none.
    ///
    /// - Throws: `ELFError` where they are not in the bytes.
    package var pltRelocations: Table<ELFRelocation> {
        @_lifetime(copy self)
        get throws(ELFError) { try relocations(.pltRelocations, size: .pltRelocationsSize) }
    }

    @_lifetime(copy self)
    private func relocations(_ tag: DynamicTag, size: DynamicTag) throws(ELFError) -> Table<ELFRelocation> {
        guard let address = try address(tag), let size = try value(size), size > 0 else {
            return Table(try image.bytes.slice(offset: 0, count: 0))
        }
        return Table(try image.contents(atAddress: address, count: size))
    }

    /// The dynamic symbol table (`DT_SYMTAB`), its length taken from the hash table.
    ///
    /// - Throws: `ELFError` where a part is missing or not in the bytes.
    package var symbols: SymbolTable {
        @_lifetime(copy self)
        get throws(ELFError) {
            guard let address = try address(.symbolTable) else {
                throw ELFError(.notFound, at: 0, "the dynamic section names no symbol table")
            }
            let size = UInt64(try symbolCount()) * UInt64(ELFSymbol.recordSize)
            return SymbolTable(
                symbols: try image.contents(atAddress: address, count: size), strings: try strings,
                extendedIndices: try image.bytes.slice(offset: 0, count: 0))
        }
    }

    /// Number of dynamic symbols. No entry tells it: `DT_HASH` has one chain link for each; with
    /// `DT_GNU_HASH` it is one more than the end of the last chain.
    ///
    /// - Throws: `ELFError` where there is no hash table, or it is not in the bytes.
    package func symbolCount() throws(ELFError) -> Int {
        if let address = try address(.hash) {
            return Int(try image.contents(atAddress: address, count: 8).integer(at: 4, as: UInt32.self))
        }
        guard let address = try address(.gnuHash) else {
            throw ELFError(.notFound, at: 0, "the dynamic section names no hash table")
        }
        let table = try image.contents(fromAddress: address)
        let bucketCount = UInt64(try table.integer(at: 0, as: UInt32.self))
        let firstSymbol = UInt64(try table.integer(at: 4, as: UInt32.self))
        let bloomCount = UInt64(try table.integer(at: 8, as: UInt32.self))
        // All factors are 32 bits: no sum below overflows 64.
        let buckets = 16 + bloomCount * 8
        let chains = buckets + bucketCount * 4
        var last: UInt64 = 0
        for index in 0..<bucketCount {
            last = max(last, UInt64(try table.integer(at: buckets + index * 4, as: UInt32.self)))
        }
        // Only undefined symbols, which the table leaves out.
        if last == 0 { return Int(firstSymbol) }
        guard last >= firstSymbol else {
            throw ELFError(.malformed, at: address, "the hash table names a symbol that it says is not in it")
        }
        while try table.integer(at: chains + (last - firstSymbol) * 4, as: UInt32.self) & 1 == 0 { last += 1 }
        return Int(last) + 1
    }

    /// The versions of the dynamic symbols, or nil where there are none.
    ///
    /// - Throws: `ELFError` where a part is not in the bytes or not as specified.
    package var versions: SymbolVersions? {
        @_lifetime(copy self)
        get throws(ELFError) {
            guard let address = try address(.symbolVersions) else { return nil }
            let table = try image.contents(atAddress: address, count: UInt64(try symbolCount()) * 2)
            var versions = SymbolVersions(table: table, strings: try strings)
            if let definitions = try self.address(.versionDefinitions) {
                try versions.addDefinitions(
                    try image.contents(fromAddress: definitions), count: try value(.versionDefinitionCount) ?? 0)
            }
            if let needs = try self.address(.versionNeeds) {
                try versions.addNeeds(
                    try image.contents(fromAddress: needs), count: try value(.versionNeedCount) ?? 0)
            }
            return versions
        }
    }
}

extension ELFImage {
    /// The dynamic section, or nil where there is none.
    ///
    /// - Throws: `ELFError` where it does not lie in the bytes.
    package var dynamic: DynamicSection? {
        @_lifetime(copy self)
        get throws(ELFError) {
            guard let segment = try segment(type: .dynamic) else { return nil }
            return try DynamicSection(self, contents: try contents(of: segment))
        }
    }
}
