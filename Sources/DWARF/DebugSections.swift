//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF

/// The sections of debug information of one file, relocated.
///
/// A relocatable object may have several sections of one name (type units lie in COMDAT groups of their own):
/// their contents are put one behind the other, and what refers to them is relocated accordingly.
struct DebugSections: Sendable {
    /// `.debug_info`, and behind it `.debug_types` of DWARF 4.
    var info: [UInt8] = []
    /// Where `.debug_types` begins in `info`.
    var typesStart = 0
    /// `.debug_abbrev`.
    var abbreviations: [UInt8] = []
    /// `.debug_str`.
    var strings: [UInt8] = []
    /// `.debug_line_str`.
    var lineStrings: [UInt8] = []
    /// `.debug_line`.
    var lines: [UInt8] = []

    private static let names = [
        ".debug_info", ".debug_types", ".debug_abbrev", ".debug_str", ".debug_line_str", ".debug_line",
    ]

    /// Where the contents of a section went.
    private struct Place {
        var name: Int
        var start: Int
        var count: Int
    }

    /// Reads the sections of a file.
    ///
    /// - Throws: `DWARFError` where they do not lie in the file, are compressed, or have a relocation that is not
    ///   understood.
    init(_ file: ELFFile) throws(DWARFError) {
        do throws(ELFError) {
            try read(file.image)
        } catch {
            throw DWARFError(
                error.code == .unsupported ? .unsupported : .malformed, at: Int(clamping: error.offset), error.reason)
        }
    }

    private mutating func read(_ image: borrowing ELFImage) throws(ELFError) {
        let sections = try image.sections.copied()
        let names = try image.sectionNames
        var parts = [[UInt8]](repeating: [], count: Self.names.count)
        var places: [Int: Place] = [:]
        for section in sections where section.type == .programBits {
            var isCompressed = try names.matches(".zdebug_info", at: section.nameOffset)
            for (number, name) in Self.names.enumerated() where try names.matches(name, at: section.nameOffset) {
                isCompressed = section.flags.contains(.compressed)
                let contents = try image.contents(of: section)
                places[section.index] = Place(name: number, start: parts[number].count, count: contents.byteCount)
                parts[number] += contents.copied()
            }
            guard !isCompressed else {
                throw ELFError(
                    .unsupported, at: section.offset, "the debug information is compressed (build with -gz=none)")
            }
        }
        typesStart = parts[0].count
        for (index, place) in places where place.name == 1 {
            places[index] = Place(name: 0, start: place.start + typesStart, count: place.count)
        }
        parts[0] += parts[1]
        if image.header.type == .relocatable { try Self.relocate(&parts, places, sections: sections, image) }
        (info, abbreviations, strings, lineStrings, lines) = (parts[0], parts[2], parts[3], parts[4], parts[5])
    }

    private static func relocate(
        _ parts: inout [[UInt8]], _ places: [Int: Place], sections: [Section], _ image: borrowing ELFImage
    ) throws(ELFError) {
        for table in try image.relocationSections() {
            // Only what is read is relocated.
            guard let place = places[table.appliesTo], place.name == 0 || place.name == 5 else { continue }
            guard image.header.machine == .x86_64 else {
                throw ELFError(.unsupported, at: 0, "debug information of another machine than x86-64")
            }
            guard table.symbolTable < sections.count else {
                throw ELFError(.malformed, at: 0, "relocations name a symbol table that is not there")
            }
            let symbols = try image.symbolTable(in: sections[table.symbolTable])
            let records = try image.relocations(in: table.section)
            for number in 0..<records.count {
                let record = try records[number]
                guard let width = width(of: record.type) else {
                    throw ELFError(
                        .unsupported, at: record.offset,
                        "relocation type \(record.type.rawValue) in debug information is not understood")
                }
                guard width > 0 else { continue }
                guard record.offset <= UInt64(place.count), width <= place.count - Int(record.offset) else {
                    throw ELFError(.malformed, at: record.offset, "a relocation lies outside of its section")
                }
                let symbol = try symbols[Int(record.symbol)]
                var value = symbol.value &+ UInt64(bitPattern: record.addend)
                if let section = try symbols.section(of: symbol), let target = places[section] {
                    value &+= UInt64(target.start)
                }
                let start = place.start + Int(record.offset)
                for index in 0..<width {
                    parts[place.name][start + index] = UInt8(truncatingIfNeeded: value &>> UInt64(8 * index))
                }
            }
        }
    }

    /// Bytes that a relocation writes; 0 for none, nil for what is not understood. Compilers write absolute
    /// values and, for thread-local variables, offsets in a module's block: both are S + A as far as an object
    /// that is not linked can tell.
    private static func width(of type: RelocationType) -> Int? {
        switch type {
        case .absolute64, .threadLocalOffset64: 8
        case .absolute32, .absolute32Signed, .threadLocalOffset32: 4
        case .none: 0
        default: nil
        }
    }
}
