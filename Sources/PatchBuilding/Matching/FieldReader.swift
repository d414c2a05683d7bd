//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF

/// Reads the relocated fields of the shipped binary backwards: from what the linker wrote to what the
/// symbols must be.
struct FieldReader {
    /// Why a place cannot be the right one.
    enum Mismatch: Error, Equatable {
        /// A field or the instruction around it is nothing that the linker makes of the relocation.
        case field(offset: Int)
        /// A string or constant of a merged section has other contents in the shipped binary.
        case literal(offset: Int)
        /// A PLT stub or GOT slot belongs to another symbol.
        case otherSymbol(offset: Int)
        /// A relocation type that is not understood.
        case unknownType(offset: Int)
    }

    let shipped: ShippedBinary
    let linkage: LinkageTable
    let object: ObjectFile
    /// For each symbol of the object its number as a global symbol, or -1.
    let globals: [Int]
    /// Whether different literals are accepted (and counted).
    var toleratesLiterals = false

    /// Literals that differ, found while reading tolerantly.
    private(set) var differingLiterals = 0

    init(shipped: ShippedBinary, linkage: LinkageTable, object: ObjectFile, globals: [Int]) {
        self.shipped = shipped
        self.linkage = linkage
        self.object = object
        self.globals = globals
    }

    /// What the fields of a section tell if it lies at `base`.
    ///
    /// - Throws: `Mismatch` where it cannot lie there.
    mutating func facts(section index: Int, base: Int) throws(Mismatch) -> [Fact] {
        let section = object.sections[index]
        var facts: [Fact] = [Fact(subject: .base(index), address: base)]
        facts.reserveCapacity(section.relocations.count + 1)
        var replacedCall: Int?
        for relocation in section.relocations {
            if let call = replacedCall, relocation.offset == call {
                replacedCall = nil
                continue
            }
            if ThreadLocalSequence.extent(of: relocation.type) != nil {
                let call = try readThreadLocal(relocation, section: section, base: base, into: &facts)
                replacedCall = call ?? replacedCall
            } else {
                try read(relocation, section: section, base: base, into: &facts)
            }
        }
        return facts
    }

    private mutating func read(
        _ relocation: ObjectRelocation, section: ObjectSection, base: Int, into facts: inout [Fact]
    ) throws(Mismatch) {
        let place = base &+ relocation.offset
        switch relocation.type {
        case .none, .threadLocalOffset64, .threadPointerOffset64, .size32, .size64:
            // No code that is compiled here has them, and the linker refuses them: nothing is built on these.
            return
        case .pc32, .plt32, .gotPC32:
            let field = try signed32(place, relocation)
            try bind(relocation, to: field &- relocation.addend &+ place, into: &facts)
        case .absolute32, .absolute32Signed:
            guard !shipped.isPositionIndependent else { throw .field(offset: relocation.offset) }
            try bind(relocation, to: try signed32(place, relocation) &- relocation.addend, into: &facts)
        case .pc64:
            guard let field = signed64(place) else { throw .field(offset: relocation.offset) }
            try bind(relocation, to: field &- relocation.addend &+ place, into: &facts)
        case .absolute64:
            try readAddress(relocation, place: place, into: &facts)
        case .gotPCRelative:
            try readSlot(relocation, place: place, into: &facts)
        case .gotPCRelativeRelaxable, .gotPCRelativeRelaxableREX:
            try readRelaxable(relocation, section: section, place: place, into: &facts)
        default:
            throw .unknownType(offset: relocation.offset)
        }
    }

    func signed32(_ place: Int, _ relocation: ObjectRelocation) throws(Mismatch) -> Int {
        guard let field = shipped.signed32(place) else { throw .field(offset: relocation.offset) }
        return field
    }

    private func signed64(_ place: Int) -> Int? {
        guard let low = shipped.signed32(place), let high = shipped.signed32(place + 4) else { return nil }
        return Int(UInt32(truncatingIfNeeded: low)) | high << 32
    }

    // MARK: - Kinds of fields

    /// A whole address: what the dynamic linker is told to write.
    private mutating func readAddress(
        _ relocation: ObjectRelocation, place: Int, into facts: inout [Fact]
    ) throws(Mismatch) {
        guard let dynamic = shipped.dynamicRelocations[place] else {
            // An executable at a fixed address has it in the file; a weak symbol that nobody defines is 0.
            guard let field = signed64(place), !shipped.isPositionIndependent || field == 0 else {
                throw .field(offset: relocation.offset)
            }
            if shipped.isPositionIndependent, object.symbols[relocation.symbol].binding != .weak {
                throw .field(offset: relocation.offset)
            }
            if !shipped.isPositionIndependent {
                try bind(relocation, to: field &- relocation.addend, into: &facts)
            }
            return
        }
        switch dynamic.type {
        case .relative:
            try bind(relocation, to: dynamic.addend &- relocation.addend, into: &facts)
        case .absolute64:
            guard dynamic.symbol == object.symbols[relocation.symbol].baseName, dynamic.addend == relocation.addend
            else { throw .otherSymbol(offset: relocation.offset) }
        case .indirectRelative:
            return
        default:
            throw .field(offset: relocation.offset)
        }
    }

    /// A displacement to a GOT slot.
    private mutating func readSlot(
        _ relocation: ObjectRelocation, place: Int, into facts: inout [Fact]
    ) throws(Mismatch) {
        let slot = try signed32(place, relocation) &- relocation.addend &+ place
        let number = globals[relocation.symbol]
        if number >= 0 { facts.append(Fact(subject: .slot(number), address: slot)) }
        guard let dynamic = shipped.dynamicRelocations[slot] else {
            guard let field = signed64(slot), !shipped.isPositionIndependent || field == 0 else {
                throw .field(offset: relocation.offset)
            }
            if !shipped.isPositionIndependent {
                try bind(symbol: relocation.symbol, at: relocation.offset, to: field, into: &facts)
            }
            return
        }
        switch dynamic.type {
        case .globalData, .jumpSlot:
            guard dynamic.symbol == object.symbols[relocation.symbol].baseName else {
                throw .otherSymbol(offset: relocation.offset)
            }
        case .relative:
            try bind(symbol: relocation.symbol, at: relocation.offset, to: dynamic.addend, into: &facts)
        case .indirectRelative:
            return
        default:
            throw .field(offset: relocation.offset)
        }
    }

    /// A load, call or jump through the GOT that the linker may have made direct (psABI x86-64, section 9.2:
    /// "Optimize GOTPCRELX Relocations").
    private mutating func readRelaxable(
        _ relocation: ObjectRelocation, section: ObjectSection, place: Int, into facts: inout [Fact]
    ) throws(Mismatch) {
        let before = relocation.type == .gotPCRelativeRelaxableREX ? 3 : 2
        guard relocation.offset >= before, let now = shipped.contents(place - before, count: before + 4) else {
            throw .field(offset: relocation.offset)
        }
        let start = section.contents.lowerBound + relocation.offset - before
        let old = object.bytes[start..<(start + before)]
        let new = now.prefix(before)
        if old.elementsEqual(new) { return try readSlot(relocation, place: place, into: &facts) }
        let direct = try signed32(place, relocation) &- relocation.addend &+ place
        let opcode = old[old.endIndex - 2]
        let modRM = old[old.endIndex - 1]
        let newOpcode = new[new.endIndex - 2]
        let newModRM = new[new.endIndex - 1]
        let samePrefix = before == 2 || old.first == new.first
        switch (opcode, newOpcode) {
        case (0x8b, 0x8d) where newModRM == modRM && samePrefix:  // mov -> lea
            try bind(symbol: relocation.symbol, at: relocation.offset, to: direct, into: &facts)
        case (0x8b, 0xc7) where newModRM == 0xc0 | (modRM >> 3) & 7:  // mov -> mov $address
            guard !shipped.isPositionIndependent else {
                guard try signed32(place, relocation) == 0 else { throw .field(offset: relocation.offset) }
                return
            }
            try bind(
                symbol: relocation.symbol, at: relocation.offset, to: try signed32(place, relocation), into: &facts)
        case (0xff, 0x67) where modRM == 0x15 && newModRM == 0xe8:  // call *slot -> addr32 call
            try bind(symbol: relocation.symbol, at: relocation.offset, to: direct, into: &facts)
        case (0xff, 0xe9) where modRM == 0x25 && now.last == 0x90,  // jmp *slot -> jmp; nop
            (0xff, 0xe8) where modRM == 0x15 && now.last == 0x90:  // call *slot -> call; nop
            guard let field = shipped.signed32(place - 1) else { throw .field(offset: relocation.offset) }
            try bind(
                symbol: relocation.symbol, at: relocation.offset, to: field &- relocation.addend &+ place &- 1,
                into: &facts)
        default:
            throw .field(offset: relocation.offset)
        }
    }

    // MARK: - Binding

    private mutating func bind(
        _ relocation: ObjectRelocation, to address: Int, into facts: inout [Fact]
    ) throws(Mismatch) {
        let symbol = object.symbols[relocation.symbol]
        if let section = symbol.section, object.sections[section].isMergeable {
            try compareLiteral(relocation, symbol: symbol, section: section, address: address)
            return
        }
        try bind(symbol: relocation.symbol, at: relocation.offset, to: address, into: &facts)
    }

    private func bind(
        symbol index: Int, at offset: Int, to address: Int, into facts: inout [Fact]
    ) throws(Mismatch) {
        let symbol = object.symbols[index]
        if symbol.isAbsolute || symbol.type == .threadLocal { return }
        let number = globals[index]
        if let stub = linkage.stubs[address] {
            guard stub.symbol.isEmpty || stub.symbol == symbol.baseName else { throw .otherSymbol(offset: offset) }
            if number >= 0 { facts.append(Fact(subject: .stub(number), address: address)) }
            return
        }
        if number >= 0 {
            facts.append(Fact(subject: .value(number), address: address))
            // Another object may define it too, where it is weak.
            guard symbol.binding == .global else { return }
        }
        if let section = symbol.section, !object.sections[section].isMergeable {
            facts.append(Fact(subject: .base(section), address: address &- symbol.value))
        }
    }

    /// Strings and constants are merged, so the address of one says nothing about the others: contents decide.
    private mutating func compareLiteral(
        _ relocation: ObjectRelocation, symbol: ObjectSymbol, section index: Int, address: Int
    ) throws(Mismatch) {
        var offset = symbol.value
        var place = address
        if symbol.type == .section {
            // The addend counts from the section here, and includes the distance to the end of the field.
            let distance = relocation.type == .absolute64 ? 0 : 4
            offset &+= relocation.addend &+ distance
            place = address &+ relocation.addend &+ distance
        }
        guard let literal = object.literal(section: index, offset: offset) else {
            throw .literal(offset: relocation.offset)
        }
        let start = place &- literal.distance
        if let there = shipped.contents(start, count: literal.bytes.count), there.elementsEqual(literal.bytes) {
            return
        }
        guard toleratesLiterals else { throw .literal(offset: relocation.offset) }
        differingLiterals += 1
    }
}

extension ObjectFile {
    /// The string or constant of a mergeable section that an offset points into.
    ///
    /// - Returns: For strings, the bytes from the offset to the terminator; for constants, the whole
    ///   constant and how far into it the offset points. Nil where there is none.
    func literal(section index: Int, offset: Int) -> (bytes: ArraySlice<UInt8>, distance: Int)? {
        let section = sections[index]
        let contents = bytes[section.contents]
        guard offset >= 0, offset < contents.count else { return nil }
        let unit = max(1, section.entrySize)
        if section.flags.contains(.strings) {
            var end = contents.startIndex + offset
            while end + unit <= contents.endIndex {
                if contents[end..<(end + unit)].allSatisfy({ $0 == 0 }) {
                    return (contents[(contents.startIndex + offset)..<(end + unit)], 0)
                }
                end += unit
            }
            return nil
        }
        let distance = offset % unit
        let start = contents.startIndex + offset - distance
        guard unit <= contents.endIndex - start else { return nil }
        return (contents[start..<(start + unit)], distance)
    }
}
