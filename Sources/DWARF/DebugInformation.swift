//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import ELF

/// Names an entry of debug information; valid for the `DebugInformation` that gave it.
package struct EntryID: Hashable, Comparable, Sendable {
    /// Its number in the order of the file.
    let number: Int

    package static func < (first: EntryID, second: EntryID) -> Bool { first.number < second.number }
}

/// The types, variables and functions that the debug information of an ELF file describes: DWARF 4 and 5 of C
/// and C++, in relocatable objects and in linked files.
///
/// The bytes may be hostile: everything that can go wrong throws `DWARFError`; nothing traps, recursion and work
/// are bounded.
package struct DebugInformation: Sendable {
    let sections: DebugSections
    let table: EntryTable
    /// For types without a name of their own, the entry that names them: a typedef, a member or a variable.
    private(set) var owners: [Int: Int] = [:]

    /// Reads the debug information of a file. Without any there are no entries, and that is no error.
    ///
    /// - Throws: `DWARFError`.
    package init(_ file: ELFFile) throws(DWARFError) {
        sections = try DebugSections(file)
        table = try EntryTable(sections)
        owners = try findOwners()
    }

    /// Whether there is none at all.
    package var isEmpty: Bool { table.units.isEmpty }

    /// Whether a part of the file was compiled from a language that has types: any but assembly
    /// (`DW_LANG_Mips_Assembler`, which GNU as writes).
    package var describesTypes: Bool {
        table.units.contains { unit in
            guard unit.firstEntry < table.entries.count, unit.type == nil else { return false }
            return table.value(.language, of: unit.firstEntry)?.number != 0x8001
        }
    }

    /// Where an entry begins, in `.debug_info` with all sections of that name put together.
    package func offset(of id: EntryID) -> Int { table.entries[id.number].offset }

    // MARK: - Reading attributes

    /// The entry that a reference leads to, or nil where the attribute is not there.
    ///
    /// - Throws: `DWARFError` where it leads nowhere, or into another file.
    func reference(_ attribute: Attribute, of entry: Int) throws(DWARFError) -> Int? {
        guard let value = table.value(attribute, of: entry) else { return nil }
        switch value.kind {
        case .reference: return try table.entry(at: value.number)
        case .signature:
            // The type unit may be in another object: then the type is not known here.
            guard let offset = table.typeUnits[value.number] else { return nil }
            return try table.entry(at: UInt64(offset))
        default:
            throw DWARFError(
                .unsupported, at: table.entries[entry].offset, "a reference to another file, or of an unknown kind")
        }
    }

    /// What an entry is the code or the definition of, and has its name from: its abstract instance or its declaration
    /// (sections 3.3.8 and 2.13.2); nil where it stands for itself.
    ///
    /// - Throws: `DWARFError` where a reference leads nowhere.
    func origin(of entry: Int) throws(DWARFError) -> Int? {
        if let instance = try reference(.abstractOrigin, of: entry) { return instance }
        return try reference(.specification, of: entry)
    }

    /// The text of an attribute, or nil where it is not there.
    ///
    /// - Throws: `DWARFError` where it lies in another file or outside of its section.
    func text(_ attribute: Attribute, of entry: Int) throws(DWARFError) -> String? {
        guard let value = table.value(attribute, of: entry) else { return nil }
        let bytes =
            switch value.kind {
            case .string: sections.strings
            case .lineString: sections.lineStrings
            case .inlineString: sections.info
            default:
                throw DWARFError(
                    .unsupported, at: table.entries[entry].offset, "a string in another file, or of an unknown kind")
            }
        var cursor = try ByteCursor(bytes, from: value.number)
        return String(decoding: bytes[try cursor.string()], as: UTF8.self)
    }

    /// A number without sign, or nil where the attribute is not there or must be computed.
    func number(_ attribute: Attribute, of entry: Int) -> UInt64? {
        guard let value = table.value(attribute, of: entry) else { return nil }
        switch value.kind {
        case .constant, .flag: return value.number
        // A negative size or offset is none that any layout has.
        case .signedConstant: return Int64(bitPattern: value.number) >= 0 ? value.number : nil
        default: return nil
        }
    }

    /// Whether a flag is there and set.
    func flag(_ attribute: Attribute, of entry: Int) -> Bool { (number(attribute, of: entry) ?? 0) != 0 }

    // MARK: - Types without a name

    /// Finds what names types that have no name of their own: first the typedefs of exactly these types, then
    /// members and variables that are made of them, in the order of the file.
    private func findOwners() throws(DWARFError) -> [Int: Int] {
        var result: [Int: Int] = [:]
        var users: [Int] = []
        for (number, entry) in table.entries.enumerated() {
            switch entry.tag {
            case .typedef:
                if let target = try reference(.type, of: number), isUnnamedDefinition(target), result[target] == nil {
                    result[target] = number
                }
            case .member, .variable: users.append(number)
            default: break
            }
        }
        for user in users {
            // Through pointers, arrays and qualifiers; a chain that is longer is none of a compiler.
            var next = try reference(.type, of: user)
            for _ in 0..<Self.longestChain {
                guard let type = next else { break }
                switch table.entries[type].tag {
                case .pointerType, .referenceType, .rvalueReferenceType, .arrayType, .constType, .volatileType,
                    .restrictType, .atomicType:
                    next = try reference(.type, of: type)
                    continue
                default:
                    if isUnnamedDefinition(type), result[type] == nil { result[type] = user }
                }
                break
            }
        }
        return result
    }

    private func isUnnamedDefinition(_ entry: Int) -> Bool {
        switch table.entries[entry].tag {
        case .structureType, .classType, .unionType, .enumerationType:
            table.value(.name, of: entry) == nil && table.value(.specification, of: entry) == nil
                && table.value(.signature, of: entry) == nil
        default: false
        }
    }

    /// How far chains of types are followed where one leads to the next.
    static let longestChain = 64
}
