//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF

/// What `readelf -W` would print, line by line, made of what this module reads.
enum Rendering {
    static func sectionType(_ type: SectionType) -> String {
        let names: [SectionType: String] = [
            .null: "NULL", .programBits: "PROGBITS", .symbolTable: "SYMTAB", .stringTable: "STRTAB",
            .relocationsWithAddends: "RELA", .hash: "HASH", .dynamic: "DYNAMIC", .note: "NOTE", .noBits: "NOBITS",
            .relocations: "REL", .dynamicSymbols: "DYNSYM", .initArray: "INIT_ARRAY", .finiArray: "FINI_ARRAY",
            .preinitArray: "PREINIT_ARRAY", .group: "GROUP", .packedRelativeRelocations: "RELR", .gnuHash: "GNU_HASH",
            .versionDefinitions: "VERDEF", .versionNeeds: "VERNEED", .symbolVersions: "VERSYM",
            .x86_64Unwind: "X86_64_UNWIND",
        ]
        return names[type] ?? "?"
    }

    static func flags(_ flags: SectionFlags) -> String {
        let letters: [(SectionFlags, String)] = [
            (.write, "W"), (.allocated, "A"), (.executable, "X"), (.merge, "M"), (.strings, "S"), (.infoLink, "I"),
            (.linkOrder, "L"), (.group, "G"), (.threadLocal, "T"), (.compressed, "C"), (.retain, "R"), (.exclude, "E"),
        ]
        return letters.filter { flags.contains($0.0) }.map(\.1).joined()
    }

    /// `readelf -S`.
    static func sections(_ image: borrowing ELFImage) throws -> [[String]] {
        var lines: [[String]] = []
        for section in try image.sections.copied() {
            let name = try image.name(of: section)
            let flags = flags(section.flags)
            lines.append(
                (name.isEmpty ? [] : [name]) + [
                    sectionType(section.type), hex(section.address, digits: 16), hex(section.offset, digits: 6),
                    hex(section.size, digits: 6), hex(section.entrySize, digits: 2),
                ] + (flags.isEmpty ? [] : [flags]) + ["\(section.link)", "\(section.info)", "\(section.alignment)"])
        }
        return lines
    }

    /// `readelf -l`.
    static func segments(_ image: borrowing ELFImage) throws -> [[String]] {
        let names: [SegmentType: String] = [
            .load: "LOAD", .dynamic: "DYNAMIC", .interpreter: "INTERP", .note: "NOTE", .programHeaders: "PHDR",
            .threadLocal: "TLS", .unwindHeader: "GNU_EH_FRAME", .stack: "GNU_STACK",
            .readOnlyAfterRelocation: "GNU_RELRO", .property: "GNU_PROPERTY",
        ]
        return try image.segments.copied().map { segment in
            var flags: [String] = []
            let readWrite =
                (segment.flags.contains(.read) ? "R" : "") + (segment.flags.contains(.write) ? "W" : "")
            if !readWrite.isEmpty { flags.append(readWrite) }
            if segment.flags.contains(.execute) {
                // "RWE" in one word, "R E" in two.
                flags = segment.flags.contains(.write) ? [readWrite + "E"] : flags + ["E"]
            }
            return [
                names[segment.type] ?? "?", "0x" + hex(segment.offset, digits: 6),
                "0x" + hex(segment.address, digits: 16),
                "0x" + hex(segment.physicalAddress, digits: 16), "0x" + hex(segment.fileSize, digits: 6),
                "0x" + hex(segment.memorySize, digits: 6),
            ] + flags + ["0x" + hex(segment.alignment, digits: 1)]
        }
    }

    static func name(
        of symbol: ELFSymbol, in table: borrowing SymbolTable, _ image: borrowing ELFImage
    ) throws -> String {
        if symbol.type == .section, symbol.nameOffset == 0, let section = try table.section(of: symbol) {
            return try image.name(of: try image.sections[section])
        }
        return try table.name(of: symbol)
    }

    /// `readelf -s` or `readelf --dyn-syms`.
    static func symbols(
        _ table: borrowing SymbolTable, _ image: borrowing ELFImage, versions: [String]
    ) throws -> [[String]] {
        let types: [SymbolType: String] = [
            .none: "NOTYPE", .object: "OBJECT", .function: "FUNC", .section: "SECTION", .file: "FILE",
            .common: "COMMON", .threadLocal: "TLS", .indirectFunction: "IFUNC",
        ]
        let bindings: [SymbolBinding: String] = [.local: "LOCAL", .global: "GLOBAL", .weak: "WEAK", .unique: "UNIQUE"]
        let visibilities: [SymbolVisibility: String] = [
            .default: "DEFAULT", .internal: "INTERNAL", .hidden: "HIDDEN", .protected: "PROTECTED",
        ]
        var lines: [[String]] = []
        for index in 0..<table.count {
            let symbol = try table[index]
            let section =
                switch symbol.sectionIndex {
                case SpecialIndex.undefined: "UND"
                case SpecialIndex.absolute: "ABS"
                case SpecialIndex.common: "COM"
                default: "\(try table.section(of: symbol) ?? -1)"
                }
            var name = try name(of: symbol, in: table, image)
            // The symbol that stands for a version is shown without it.
            if index < versions.count, versions[index] != "@@" + name { name += versions[index] }
            let size = symbol.size <= 99_999 ? "\(symbol.size)" : "0x" + String(symbol.size, radix: 16)
            lines.append(
                [
                    "\(index):", hex(symbol.value, digits: 16), size, types[symbol.type] ?? "?",
                    bindings[symbol.binding] ?? "?", visibilities[symbol.visibility] ?? "?", section,
                ] + name.split(separator: " ").map(String.init))
        }
        return lines
    }

    /// `@VERSION` as readelf shows it, for each dynamic symbol.
    static func versions(_ image: borrowing ELFImage) throws -> [String] {
        guard let dynamic = try image.dynamic, let versions = try dynamic.versions else { return [] }
        var result: [String] = []
        for index in 0..<versions.count {
            guard let version = try versions.version(ofSymbol: index) else {
                result.append("")
                continue
            }
            let hidden = try versions.number(ofSymbol: index).hidden
            let name = try versions.name(of: version)
            if version.fileOffset != nil {
                result.append("@\(name) (\(version.index))")
            } else {
                result.append((hidden ? "@" : "@@") + name)
            }
        }
        return result
    }

    /// `readelf -r`: offset, info, type, name of the symbol (empty for none) and addend.
    static func relocations(_ image: borrowing ELFImage) throws -> [[String]] {
        var lines: [[String]] = []
        for group in try image.relocationSections() {
            let table = try image.relocations(in: group.section)
            if group.symbolTable == 0 {
                for relocation in table.copied() { lines.append(line(relocation, name: "")) }
                continue
            }
            let symbols = try image.symbolTable(in: try image.sections[group.symbolTable])
            for relocation in table.copied() {
                let symbol = try symbols[Int(relocation.symbol)]
                lines.append(
                    line(relocation, name: relocation.symbol == 0 ? "" : try name(of: symbol, in: symbols, image)))
            }
        }
        return lines
    }

    private static func line(_ relocation: ELFRelocation, name: String) -> [String] {
        let info = UInt64(relocation.symbol) << 32 | UInt64(relocation.type.rawValue)
        let magnitude = String(relocation.addend.magnitude, radix: 16)
        return [
            hex(relocation.offset, digits: 16), hex(info, digits: 16),
            "R_X86_64_" + (relocation.type.x86_64Name ?? "?"), name,
            (relocation.addend < 0 ? "-" : "") + magnitude,
        ]
    }
}
