//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A debugging information entry: what describes one type, variable, function or part of one (DWARF 5, section
/// 2.1).
struct Entry: Sendable {
    /// Where it begins in `DebugSections.info`.
    var offset: Int
    var tag: Tag
    /// Number of its unit.
    var unit: Int
    /// Number of the entry that it belongs to, or -1.
    var parent: Int
    /// Behind the last of the entries that belong to it: the number of what follows.
    var end: Int
    /// Where its kept attributes lie in `EntryTable.fields`.
    var firstField: Int
    var endOfFields: Int
}

/// An attribute of an entry.
struct Field: Sendable {
    var attribute: Attribute
    var value: FormValue
}

/// All entries of all units, in the order of the file.
struct EntryTable: Sendable {
    private(set) var units: [Unit] = []
    private(set) var entries: [Entry] = []
    private(set) var fields: [Field] = []
    /// The entries' offsets and the fields' attributes again, each close together: most of the time is spent in
    /// looking for them.
    private var offsets: [Int] = []
    private var attributes: [UInt16] = []
    /// By signature, where the type of a type unit is described.
    private(set) var typeUnits: [UInt64: Int] = [:]

    /// How deep entries may be nested; blocks in source are not nested deeper than some dozens.
    private static let deepest = 1000

    /// Reads every unit.
    ///
    /// The work is bounded by the size: an abbreviation can give an entry of one byte any number of attributes
    /// without bytes of their own, and units can share the whole of a large table of abbreviations.
    ///
    /// - Throws: `DWARFError`.
    init(_ sections: DebugSections) throws(DWARFError) {
        var cursor = try ByteCursor(sections.info, 0..<sections.info.count)
        var tables: [UInt64: AbbreviationTable] = [:]
        var abbreviationWork = 16 * sections.abbreviations.count + 4096
        var work = 32 * sections.info.count + 4096
        entries.reserveCapacity(sections.info.count / 8)
        fields.reserveCapacity(sections.info.count / 2)
        while !cursor.isAtEnd {
            var unit = try Unit(&cursor, isTypes: cursor.position >= sections.typesStart)
            let table: AbbreviationTable
            if let known = tables[unit.abbreviations] {
                table = known
            } else {
                table = try AbbreviationTable(
                    sections.abbreviations, at: unit.abbreviations, work: &abbreviationWork)
                tables[unit.abbreviations] = table
            }
            unit.firstEntry = entries.count
            if let type = unit.type { typeUnits[type.signature] = type.entry }
            units.append(unit)
            try read(unit, sections, table, work: &work)
        }
    }

    private mutating func read(
        _ unit: Unit, _ sections: DebugSections, _ table: AbbreviationTable, work: inout Int
    ) throws(DWARFError) {
        var cursor = try ByteCursor(sections.info, unit.entriesStart..<unit.end)
        var open: [Int] = []
        let number = units.count - 1
        while !cursor.isAtEnd {
            let offset = cursor.position
            let code = try cursor.uleb128()
            if code == 0 {
                // The end of what belongs to an entry, or padding behind the last one.
                if let last = open.popLast() { entries[last].end = entries.count }
                continue
            }
            let abbreviation = try table.abbreviation(code, at: offset)
            let firstField = fields.count
            for specification in abbreviation.specifications {
                let value = try cursor.value(specification.form, implicit: specification.implicit, unit: unit)
                guard let attribute = specification.attribute else { continue }
                fields.append(Field(attribute: attribute, value: value))
                attributes.append(attribute.rawValue)
            }
            work -= abbreviation.specifications.count
            guard work > 0 else {
                throw DWARFError(.limitExceeded, at: offset, "entries have more attributes than bytes")
            }
            entries.append(
                Entry(
                    offset: offset, tag: abbreviation.tag, unit: number, parent: open.last ?? -1,
                    end: entries.count + 1, firstField: firstField, endOfFields: fields.count))
            offsets.append(offset)
            guard abbreviation.hasChildren else { continue }
            open.append(entries.count - 1)
            // Who looks for what an entry is in goes up as far.
            guard open.count <= Self.deepest else {
                throw DWARFError(.limitExceeded, at: offset, "entries are nested too deep")
            }
        }
        for entry in open { entries[entry].end = entries.count }
    }

    /// The number of the entry that begins at an offset.
    ///
    /// - Throws: `DWARFError` (`malformed`) where none does.
    func entry(at offset: UInt64) throws(DWARFError) -> Int {
        var low = 0
        var high = offsets.count
        while low < high {
            let middle = (low + high) / 2
            if UInt64(offsets[middle]) < offset { low = middle + 1 } else { high = middle }
        }
        guard low < offsets.count, UInt64(offsets[low]) == offset else {
            throw DWARFError(.malformed, at: Int(clamping: offset), "a reference leads to no entry")
        }
        return low
    }

    /// The value of an attribute, or nil where the entry has none.
    func value(_ attribute: Attribute, of entry: Int) -> FormValue? {
        let wanted = attribute.rawValue
        var index = entries[entry].firstField
        let end = entries[entry].endOfFields
        while index < end {
            if attributes[index] == wanted { return fields[index].value }
            index += 1
        }
        return nil
    }

    /// The entries that belong directly to one, in order.
    func children(of entry: Int) -> [Int] {
        var result: [Int] = []
        var next = entry + 1
        let end = entries[entry].end
        while next < end {
            result.append(next)
            next = entries[next].end
        }
        return result
    }
}
