//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF

/// A relocatable object, read once into plain values: the matcher and the differ look at the same sections,
/// symbols and relocations many times.
///
/// Reading checks what later code relies on: contents lie in the file, relocated fields lie in their
/// section, symbols of relocations exist, and no offset or size exceeds the file's own size (but for
/// sections without contents, which may take up to 4 GiB).
struct ObjectFile: Sendable {
    /// The name within the build.
    let name: String
    /// The whole file.
    let bytes: [UInt8]
    /// By section header index.
    let sections: [ObjectSection]
    /// By symbol table index.
    let symbols: [ObjectSymbol]

    /// Reads an object.
    ///
    /// - Throws: `PatchBuildingError`: `malformedObject` where it is not an x86-64 relocatable object,
    ///   `linkTimeOptimised` where its code is not the compiler's last word.
    init(name: String, bytes: [UInt8]) throws(PatchBuildingError) {
        do throws(ELFError) {
            let file = try ELFFile(bytes)
            guard file.header.type == .relocatable, file.header.machine == .x86_64 else {
                throw ELFError(.unsupported, at: 0, "not a relocatable object for x86-64")
            }
            let image = file.image
            var sections = try Self.readSections(image)
            let symbols = try Self.readSymbols(image, sections: sections)
            try Self.readRelocations(image, into: &sections, symbolCount: symbols.count)
            self.name = name
            self.bytes = bytes
            self.sections = sections
            self.symbols = symbols
        } catch {
            throw PatchBuildingError(.malformedObject, "\(name): \(error.reason)")
        }
        // What lies in the target is made of all such objects together, when they are linked.
        guard !sections.contains(where: { $0.name.hasPrefix(".gnu.lto_") }) else {
            throw PatchBuildingError(
                .linkTimeOptimised,
                "\(name) is built for link-time optimisation (-flto): its code is made by the linker.")
        }
    }

    /// The contents of a section; empty where it has none in the file.
    func contents(_ section: Int) -> ArraySlice<UInt8> { bytes[sections[section].contents] }

    private static func readSections(_ image: borrowing ELFImage) throws(ELFError) -> [ObjectSection] {
        let table = try image.sections
        let names = try image.sectionNames
        var result: [ObjectSection] = []
        result.reserveCapacity(table.count)
        for index in 0..<table.count {
            let section = try table[index]
            var contents = 0..<0
            if section.type == .noBits {
                guard section.size <= UInt64(UInt32.max) else {
                    throw ELFError(.malformed, at: section.offset, "section \(index) is larger than 4 GiB")
                }
            } else if section.type != .null {
                // The view throws where the contents do not lie in the file, so the conversions cannot fail.
                let count = try image.contents(of: section).byteCount
                contents = Int(section.offset)..<(Int(section.offset) + count)
            }
            guard section.alignment <= UInt64(UInt32.max) else {
                throw ELFError(.malformed, at: section.offset, "section \(index) is aligned to more than 4 GiB")
            }
            result.append(
                ObjectSection(
                    name: try names.string(at: section.nameOffset), type: section.type, flags: section.flags,
                    size: section.type == .noBits ? Int(section.size) : contents.count,
                    alignment: max(1, Int(section.alignment)), entrySize: Int(clamping: section.entrySize),
                    contents: contents))
        }
        return result
    }

    private static func readSymbols(
        _ image: borrowing ELFImage, sections: [ObjectSection]
    ) throws(ELFError) -> [ObjectSymbol] {
        guard let table = try image.symbols else { return [] }
        var result: [ObjectSymbol] = []
        result.reserveCapacity(table.count)
        for index in 0..<table.count {
            let symbol = try table[index]
            let section = try table.section(of: symbol)
            guard symbol.value <= UInt64(UInt32.max), symbol.size <= UInt64(UInt32.max) || section == nil else {
                if symbol.sectionIndex == SpecialIndex.absolute {
                    result.append(
                        ObjectSymbol(name: try table.name(of: symbol), symbol: symbol, section: nil, value: 0))
                    continue
                }
                throw ELFError(.malformed, at: UInt64(index), "symbol \(index) lies outside of its section")
            }
            if let section, section >= sections.count {
                throw ELFError(.malformed, at: UInt64(index), "symbol \(index) is in a section that is not there")
            }
            var name = ""
            if symbol.type == .section, let section {
                name = sections[section].name
            } else {
                name = try table.name(of: symbol)
            }
            result.append(ObjectSymbol(name: name, symbol: symbol, section: section, value: Int(symbol.value)))
        }
        return result
    }

    private static func readRelocations(
        _ image: borrowing ELFImage, into sections: inout [ObjectSection], symbolCount: Int
    ) throws(ELFError) {
        for table in try image.relocationSections() {
            let index = table.appliesTo
            guard index > 0, index < sections.count else {
                throw ELFError(.malformed, at: table.section.offset, "relocations for a section that is not there")
            }
            // Debug information is of no interest here, and most of the relocations are its.
            guard sections[index].flags.contains(.allocated) else { continue }
            let records = try image.relocations(in: table.section)
            var relocations: [ObjectRelocation] = []
            relocations.reserveCapacity(records.count)
            for number in 0..<records.count {
                let record = try records[number]
                let width = ObjectRelocation.width(of: record.type)
                guard record.offset <= UInt64(sections[index].contents.count),
                    width <= sections[index].contents.count - Int(record.offset), record.symbol < symbolCount
                else {
                    throw ELFError(.malformed, at: record.offset, "a relocation lies outside of its section")
                }
                relocations.append(
                    ObjectRelocation(
                        offset: Int(record.offset), type: record.type, symbol: Int(record.symbol),
                        addend: Int(record.addend)))
            }
            // Compilers write them in order, but nothing demands it.
            relocations.sort { $0.offset < $1.offset }
            sections[index].relocations += relocations
        }
    }
}

/// A section of a relocatable object.
struct ObjectSection: Sendable {
    let name: String
    let type: SectionType
    let flags: SectionFlags
    /// Bytes in memory.
    let size: Int
    /// At least 1.
    let alignment: Int
    /// Size of one element of a section whose elements may be merged.
    let entrySize: Int
    /// Where the bytes lie in the file; empty where there are none.
    let contents: Range<Int>
    /// Sorted by offset.
    var relocations: [ObjectRelocation] = []

    var isAllocated: Bool { flags.contains(.allocated) }
    var isCode: Bool { flags.contains(.executable) && isAllocated }
    var isMergeable: Bool { flags.contains(.merge) }
    var isWritable: Bool { flags.contains(.write) }
    /// Writable only until the dynamic linker has relocated it (`-fPIC` puts constants with addresses there).
    var isConstantAfterRelocation: Bool { isWritable && name.hasPrefix(".data.rel.ro") }
}

/// A symbol of a relocatable object.
struct ObjectSymbol: Sendable {
    /// Its name; that of the section for a section's symbol.
    let name: String
    let binding: SymbolBinding
    let type: SymbolType
    let visibility: SymbolVisibility
    /// The section it is defined in; nil for undefined, absolute and common symbols.
    let section: Int?
    let isCommon: Bool
    let isAbsolute: Bool
    /// Offset in its section.
    let value: Int
    let size: Int

    init(name: String, symbol: ELFSymbol, section: Int?, value: Int) {
        self.name = name
        binding = symbol.binding
        type = symbol.type
        visibility = symbol.visibility
        self.section = section
        isCommon = symbol.sectionIndex == SpecialIndex.common
        isAbsolute = symbol.sectionIndex == SpecialIndex.absolute
        self.value = value
        size = Int(clamping: symbol.size)
    }

    var isLocal: Bool { binding == .local }
    var isFunction: Bool { type == .function || type == .indirectFunction }
    /// The name without a version (`foo@@VERSION`), as the dynamic symbol table has it.
    var baseName: String {
        guard let at = name.utf8.firstIndex(of: UInt8(ascii: "@")) else { return name }
        return String(name[..<at])
    }
}

/// A relocation of a relocatable object.
struct ObjectRelocation: Sendable {
    /// Offset of the field in its section.
    let offset: Int
    let type: RelocationType
    /// Index of the symbol.
    let symbol: Int
    let addend: Int

    /// Bytes that a relocation writes; 0 for types that are not known here (and that nothing relies on).
    static func width(of type: RelocationType) -> Int {
        switch type {
        case .absolute64, .pc64, .gotOffset64, .threadLocalOffset64, .threadPointerOffset64, .size64, .gotPC64, .got64,
            .gotPCRelative64, .gotPLT64, .pltOffset64:
            8
        case .pc32, .plt32, .gotPCRelative, .gotPCRelativeRelaxable, .gotPCRelativeRelaxableREX, .absolute32,
            .absolute32Signed, .gotPC32, .got32, .tlsGeneralDynamic, .tlsLocalDynamic, .threadLocalOffset32,
            .gotThreadPointerOffset, .threadPointerOffset32, .size32, .gotPC32TLSDescriptor:
            4
        case .absolute16, .pc16: 2
        case .absolute8, .pc8: 1
        default: 0
        }
    }
}
