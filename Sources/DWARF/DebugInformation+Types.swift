//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

extension DebugInformation {
    /// All structures, unions, classes, enumerations and typedefs, in the order of the file. Of those that are only
    /// declared there may be any number.
    package var namedTypes: [EntryID] {
        table.entries.indices.lazy.filter { number in
            switch table.entries[number].tag {
            case .structureType, .classType, .unionType, .enumerationType, .typedef, .templateAlias: true
            default: false
            }
        }.map { EntryID(number: $0) }
    }

    /// A type.
    ///
    /// - Throws: `DWARFError` where the entry describes none, or refers to what is not there.
    package func type(_ id: EntryID) throws(DWARFError) -> DebugType {
        let number = try resolved(id.number)
        guard let kind = DebugType.Kind(table.entries[number].tag) else {
            throw DWARFError(.malformed, at: table.entries[number].offset, "an entry that is no type is used as one")
        }
        return DebugType(
            id: EntryID(number: number), kind: kind, byteSize: self.number(.byteSize, of: number),
            alignment: self.number(.alignment, of: number), isDeclaration: flag(.declaration, of: number),
            target: try target(of: number), encoding: self.number(.encoding, of: number) ?? 0,
            isVector: flag(.vector, of: number))
    }

    /// Type units are declared where they are used (section 5.7.1, `DW_AT_signature`): the entry that describes a
    /// type, for the one that stands for it.
    private func resolved(_ entry: Int) throws(DWARFError) -> Int {
        guard table.value(.signature, of: entry) != nil else { return entry }
        return try reference(.signature, of: entry) ?? entry
    }

    /// What `DW_AT_type` of an entry leads to.
    func target(of entry: Int) throws(DWARFError) -> EntryID? {
        guard let target = try reference(.type, of: entry) else { return nil }
        return EntryID(number: try resolved(target))
    }

    // MARK: - Parts of types

    /// The members of a structure, union or class, and its base classes; without static members, which are no part
    /// of an object.
    ///
    /// - Throws: `DWARFError` where a place cannot be understood.
    package func members(of id: EntryID) throws(DWARFError) -> [Member] {
        var result: [Member] = []
        for child in table.children(of: id.number) {
            let tag = table.entries[child].tag
            guard tag == .member || tag == .inheritance else { continue }
            // Before DWARF 5 a static member was a member too, one that is declared only.
            if flag(.declaration, of: child) || flag(.external, of: child) { continue }
            let type = try target(of: child)
            let bitSize = number(.bitSize, of: child)
            var name = try text(.name, of: child)
            if tag == .inheritance, let type { name = try self.name(of: type) }
            result.append(
                Member(
                    name: name, isBaseClass: tag == .inheritance, type: type,
                    bitOffset: try bitOffset(of: child, type: type, bitSize: bitSize), bitSize: bitSize))
        }
        return result
    }

    /// Where a member begins (section 5.7.6; for `DW_AT_bit_offset` DWARF 4, section 5.5.6).
    private func bitOffset(of entry: Int, type: EntryID?, bitSize: UInt64?) throws(DWARFError) -> UInt64? {
        if let offset = number(.dataBitOffset, of: entry) { return offset }
        var byteOffset: UInt64 = 0
        if let location = table.value(.memberLocation, of: entry) {
            if location.kind == .block {
                // DW_OP_plus_uconst is a number in other words; anything else is computed at run time.
                var cursor = try expression(location)
                guard location.length > 0, try cursor.byte() == 0x23 else { return nil }
                byteOffset = try cursor.uleb128()
            } else if let constant = number(.memberLocation, of: entry) {
                byteOffset = constant
            } else {
                return nil
            }
        }
        var (offset, overflow) = byteOffset.multipliedReportingOverflow(by: 8)
        guard !overflow else { throw DWARFError(.malformed, at: table.entries[entry].offset, "a member's offset") }
        if let value = table.value(.bitOffset, of: entry), let bitSize {
            var size = number(.byteSize, of: entry)
            if size == nil, let type { size = try sizeInBytes(of: type) }
            (offset, overflow) = Self.bitOffset(
                inUnitAt: offset, of: size ?? 0, fromHighEnd: Int64(bitPattern: value.number), bitSize: bitSize)
            guard !overflow else {
                throw DWARFError(.malformed, at: table.entries[entry].offset, "a bit-field's offset")
            }
        }
        return offset
    }

    /// Where a bit-field begins whose offset counts from the high end of its storage unit, negative where it goes
    /// beyond; true where the numbers contradict each other.
    private static func bitOffset(
        inUnitAt start: UInt64, of byteSize: UInt64, fromHighEnd: Int64, bitSize: UInt64
    ) -> (UInt64, Bool) {
        guard let start = Int64(exactly: start), byteSize <= 1 << 32, bitSize <= 1 << 35,
            (-(1 << 36)...(1 << 36)).contains(fromHighEnd)
        else { return (0, true) }
        let (place, overflow) = start.addingReportingOverflow(
            Int64(byteSize) * 8 - fromHighEnd - Int64(bitSize))
        return (UInt64(clamping: place), overflow || place < 0)
    }

    /// A cursor over an expression.
    func expression(_ value: FormValue) throws(DWARFError) -> ByteCursor {
        var cursor = try ByteCursor(sections.info, from: value.number)
        return try cursor.part(UInt64(clamping: value.length))
    }

    /// The size of a type in bytes, through typedefs, qualifiers and arrays; nil where it is not known.
    ///
    /// - Throws: `DWARFError` where a type is not there.
    package func sizeInBytes(of id: EntryID) throws(DWARFError) -> UInt64? {
        var next: EntryID? = id
        var elements: UInt64 = 1
        for _ in 0..<Self.longestChain {
            guard let current = next else { return nil }
            let type = try type(current)
            if let size = type.byteSize {
                let (product, overflow) = size.multipliedReportingOverflow(by: elements)
                return overflow ? nil : product
            }
            if type.kind == .array {
                for count in counts(of: type.id) {
                    let (product, overflow) = elements.multipliedReportingOverflow(by: count ?? 0)
                    guard !overflow else { return nil }
                    elements = product
                }
            }
            next = type.target
        }
        return nil
    }

    /// The enumerators of an enumeration, in order.
    ///
    /// - Throws: `DWARFError` where a name is not there.
    package func enumerators(of id: EntryID) throws(DWARFError) -> [Enumerator] {
        var result: [Enumerator] = []
        for child in table.children(of: id.number) where table.entries[child].tag == .enumerator {
            let value = table.value(.constantValue, of: child)
            result.append(
                Enumerator(
                    name: try text(.name, of: child) ?? "", value: Int64(bitPattern: value?.number ?? 0)))
        }
        return result
    }

    /// How many elements an array has in each dimension; nil where that is not told or computed at run time.
    package func counts(of id: EntryID) -> [UInt64?] {
        table.children(of: id.number).filter { table.entries[$0].tag == .subrangeType }.map { child in
            if let count = number(.count, of: child) { return count }
            guard let upper = number(.upperBound, of: child) else { return nil }
            let (count, overflow) = upper.subtractingReportingOverflow(number(.lowerBound, of: child) ?? 0)
            return overflow || count == .max ? nil : count + 1
        }
    }

    /// The types of a function type's parameters, and whether more may follow.
    ///
    /// - Throws: `DWARFError` where a type is not there.
    package func parameters(
        of id: EntryID
    ) throws(DWARFError) -> (types: [EntryID?], isVariadic: Bool) {
        var types: [EntryID?] = []
        var isVariadic = false
        for child in table.children(of: id.number) {
            switch table.entries[child].tag {
            case .formalParameter: types.append(try target(of: child))
            case .unspecifiedParameters: isVariadic = true
            default: break
            }
        }
        return (types, isVariadic)
    }

    /// The virtual functions that a class declares, in order; without those that the compiler adds only where they
    /// are used.
    ///
    /// - Throws: `DWARFError` where a name is not there.
    package func virtualFunctions(of id: EntryID) throws(DWARFError) -> [VirtualFunction] {
        var result: [VirtualFunction] = []
        for child in table.children(of: id.number) where table.entries[child].tag == .subprogram {
            guard number(.virtuality, of: child) ?? 0 != 0, !flag(.artificial, of: child) else { continue }
            var slot: UInt64?
            if let value = table.value(.virtualTableSlot, of: child), value.kind == .block, value.length > 0 {
                var cursor = try expression(value)
                // DW_OP_constu, or one of DW_OP_lit0 to DW_OP_lit31 (section 7.7.1).
                let operation = try cursor.byte()
                if operation == 0x10 { slot = try cursor.uleb128() }
                if (0x30...0x4f).contains(operation) { slot = UInt64(operation - 0x30) }
            }
            var name = try linkageName(of: child)
            if name == nil { name = try text(.name, of: child) }
            result.append(VirtualFunction(name: name ?? "", slot: slot))
        }
        return result
    }

    // MARK: - Variables

    /// The variables that live as long as the program and are defined here, in the order of the file.
    ///
    /// - Throws: `DWARFError` where a name or type is not there.
    package func staticVariables() throws(DWARFError) -> [StaticVariable] {
        var result: [StaticVariable] = []
        for (number, entry) in table.entries.enumerated() where entry.tag == .variable {
            if let variable = try variable(EntryID(number: number)) { result.append(variable) }
        }
        return result
    }

    /// A variable that lives as long as the program and is defined here; nil where the entry is none.
    ///
    /// - Throws: `DWARFError` where its name or type is not there.
    package func variable(_ id: EntryID) throws(DWARFError) -> StaticVariable? {
        let number = id.number
        guard table.entries[number].tag == .variable, !flag(.declaration, of: number), try isStatic(number) else {
            return nil
        }
        guard let name = try qualifiedName(of: number) else { return nil }
        var type = try target(of: number)
        if type == nil, let origin = try origin(of: number) { type = try target(of: origin) }
        return StaticVariable(id: id, name: name, type: type)
    }

    /// Whether a variable has an address that does not depend on a frame: it is in no function, or its location is
    /// one of DW_OP_addr, DW_OP_addrx or a constant, which begins that of a thread-local one (sections 2.6.1.1.2 and
    /// 7.7.1).
    private func isStatic(_ entry: Int) throws(DWARFError) -> Bool {
        var parent = table.entries[entry].parent
        var isLocal = false
        while parent >= 0 {
            switch table.entries[parent].tag {
            case .subprogram, .lexicalBlock, .inlinedSubroutine: isLocal = true
            default: break
            }
            parent = table.entries[parent].parent
        }
        guard isLocal else { return true }
        guard let location = table.value(.location, of: entry), location.kind == .block, location.length > 0 else {
            return false
        }
        var cursor = try expression(location)
        return [0x03, 0xa1, 0x0c, 0x0e].contains(try cursor.byte())
    }
}
