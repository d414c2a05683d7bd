//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF
internal import LivePatch

/// Collects what goes into the image of a live patch and binds every reference of it.
///
/// What cannot be bound or is not plainly safe becomes a reason; linking goes on, so that a person sees all
/// of them at once.
struct Linker {
    let shipped: ShippedBinary
    let placement: Placement
    let resolver: SymbolResolver
    /// The objects that the fix changes.
    let units: [RebuiltUnit]
    /// Functions of the fixed objects that are seen by other objects, by name.
    let globalFunctions: [String: (unit: Int, section: Int)]

    private(set) var reasons: [Reason] = []
    private(set) var pieces: [Piece] = []
    private var numbers: [Piece.Key: Int] = [:]
    /// Added functions that are used, as sections by unit.
    private(set) var usedFunctions: Set<Piece.Key> = []
    /// Names for addresses of the target that are referred to.
    private(set) var targetNames: [Int: String] = [:]

    init(shipped: ShippedBinary, linkage: LinkageTable, placement: Placement, units: [RebuiltUnit]) {
        self.shipped = shipped
        self.placement = placement
        self.units = units
        resolver = SymbolResolver(shipped: shipped, linkage: linkage, placement: placement)
        var functions: [String: (unit: Int, section: Int)] = [:]
        for (number, unit) in units.enumerated() {
            for section in (Array(unit.changedSections.keys) + Array(unit.addedSections.keys)).sorted() {
                guard let item = unit.diff.post.items[section] else { continue }
                for index in item.symbols where !unit.diff.post.object.symbols[index].isLocal {
                    functions[unit.diff.post.object.symbols[index].baseName] = (number, section)
                }
            }
        }
        globalFunctions = functions
    }

    /// Notes a reason, once.
    mutating func note(_ code: Reason.Code, _ subject: String, _ text: String) {
        let reason = Reason(code, subject, text)
        if !reasons.contains(reason) { reasons.append(reason) }
    }

    // MARK: - Pieces

    /// The piece made from a section after the fix, with all that it refers to.
    mutating func piece(unit number: Int, section: Int) -> Int {
        let key = Piece.Key.section(unit: number, section: section)
        if let known = numbers[key] { return known }
        let object = units[number].diff.post.object
        let header = object.sections[section]
        let item = units[number].diff.post.items[section]
        var alignment = header.isCode ? 16 : header.alignment
        if alignment > 16 {
            note(
                .notUnderstood, item?.name ?? header.name,
                "\(item?.name ?? header.name) is aligned to \(alignment) bytes, an image only to 16.")
            alignment = 16
        }
        if units[number].addedSections[section] != nil { usedFunctions.insert(key) }
        let piece = append(
            Piece(
                key: key, isCode: header.isCode, alignment: alignment, bytes: [UInt8](object.contents(section)),
                name: item?.symbols.isEmpty ?? true ? "" : item?.name ?? ""))
        for relocation in header.relocations { bind(relocation, in: piece, unit: number, section: section) }
        return piece
    }

    /// A string or constant.
    private mutating func literalPiece(_ bytes: [UInt8], alignment: Int) -> Int {
        let key = Piece.Key.literal(bytes)
        if let known = numbers[key] {
            pieces[known].alignment = max(pieces[known].alignment, alignment)
            return known
        }
        return append(Piece(key: key, isCode: false, alignment: alignment, bytes: bytes, name: ""))
    }

    /// A slot that holds an address.
    private mutating func slotPiece(_ destination: Piece.Destination) -> Int {
        let key = Piece.Key.slot(destination)
        if let known = numbers[key] { return known }
        let piece = append(
            Piece(key: key, isCode: false, alignment: 8, bytes: [UInt8](repeating: 0, count: 8), name: ""))
        pieces[piece].fields = [Piece.Field(offset: 0, kind: .absolute64, destination: destination, addend: 0)]
        return piece
    }

    /// A stub for a function that the target knows only by a GOT slot: `jmp *slot(%rip)`.
    private mutating func stubPiece(slot: Int, name: String) -> Int {
        let key = Piece.Key.stub(slot: slot)
        if let known = numbers[key] { return known }
        let piece = append(
            Piece(key: key, isCode: true, alignment: 16, bytes: [0xff, 0x25, 0, 0, 0, 0], name: name + "@stub"))
        pieces[piece].fields = [
            Piece.Field(offset: 2, kind: .relative32, destination: .target(slot), addend: -4)
        ]
        return piece
    }

    private mutating func append(_ piece: Piece) -> Int {
        numbers[piece.key] = pieces.count
        pieces.append(piece)
        return pieces.count - 1
    }

    // MARK: - Binding

    /// How a reference uses what it refers to.
    enum Use {
        case branch
        case address
    }

    private mutating func bind(_ relocation: ObjectRelocation, in piece: Int, unit number: Int, section: Int) {
        let unit = units[number]
        let object = unit.diff.post.object
        let owner = unit.diff.post.items[section]?.name ?? object.sections[section].name
        let isBranch = RebuiltUnit.isBranch(relocation, in: section, of: object)
        switch relocation.type {
        case .none:
            return
        case .pc32, .plt32:
            let use: Use = isBranch || relocation.type == .plt32 ? .branch : .address
            guard let (destination, addend) = resolve(relocation, use: use, unit: number, section: section) else {
                return
            }
            pieces[piece].clear(relocation.offset, count: 4)
            pieces[piece].fields.append(
                Piece.Field(offset: relocation.offset, kind: .relative32, destination: destination, addend: addend))
        case .absolute64:
            guard let (destination, addend) = resolve(relocation, use: .address, unit: number, section: section)
            else { return }
            pieces[piece].clear(relocation.offset, count: 8)
            pieces[piece].fields.append(
                Piece.Field(offset: relocation.offset, kind: .absolute64, destination: destination, addend: addend))
        case .gotPCRelative, .gotPCRelativeRelaxable, .gotPCRelativeRelaxableREX:
            bindSlot(relocation, in: piece, unit: number, section: section, owner: owner)
        case .tlsGeneralDynamic, .tlsLocalDynamic, .threadLocalOffset32, .threadLocalOffset64,
            .gotThreadPointerOffset, .threadPointerOffset32, .threadPointerOffset64, .gotPC32TLSDescriptor,
            .tlsDescriptorCall, .threadLocalModule:
            note(
                .threadLocalStorage, owner,
                "\(owner) uses the thread-local variable \(object.symbols[relocation.symbol].name).")
        default:
            let type = relocation.type.x86_64Name ?? String(relocation.type.rawValue)
            note(.notUnderstood, owner, "\(owner) has a relocation of type R_X86_64_\(type), which is not understood.")
        }
    }

    /// What a reference is bound to, or nil with a reason noted.
    private mutating func resolve(
        _ relocation: ObjectRelocation, use: Use, unit number: Int, section: Int
    ) -> (Piece.Destination, addend: Int)? {
        let unit = units[number]
        let object = unit.diff.post.object
        let symbol = object.symbols[relocation.symbol]
        let owner = unit.diff.post.items[section]?.name ?? object.sections[section].name
        guard let target = symbol.section else {
            guard let destination = global(symbol, use: use, owner: owner) else { return nil }
            return (destination, relocation.addend)
        }
        guard let item = unit.diff.post.items[target] else {
            note(.notUnderstood, owner, "\(owner) refers to \(symbol.name), which is not loaded.")
            return nil
        }
        if item.kind == .merged {
            return merged(relocation, symbol: symbol, unit: number, section: target, owner: owner)
        }
        if symbol.type == .indirectFunction, symbol.isLocal || use == .address {
            note(.indirectFunction, symbol.name, "\(owner) uses \(symbol.name), which a resolver chooses at start.")
            return nil
        }
        // Of weak definitions the linker may have taken another object's.
        if !symbol.isLocal, symbol.binding == .weak || (item.kind == .code && use == .branch) {
            guard let destination = global(symbol, use: use, owner: owner) else { return nil }
            return (destination, relocation.addend)
        }
        // Where in the section it points: PC-relative fields count from the end of the field.
        let distance = relocation.type == .absolute64 ? 0 : 4
        let offset = symbol.value &+ relocation.addend &+ distance
        let isLiteral = unit.diff.post.items[section]?.kind == .literal
        guard
            let destination = local(
                item, unit: number, use: use, offset: offset, isLiteral: isLiteral, owner: owner)
        else { return nil }
        return (destination, relocation.addend &+ symbol.value)
    }

    /// The start of a section of the same object.
    ///
    /// - Parameters:
    ///   - offset: where in the section the reference points (for an entry of a jump table, which counts from
    ///     the table, some number that is not 0).
    ///   - isLiteral: whether the reference comes from a literal, and not from code.
    private mutating func local(
        _ item: Item, unit number: Int, use: Use, offset: Int, isLiteral: Bool, owner: String
    ) -> Piece.Destination? {
        let unit = units[number]
        let target = item.section
        switch item.kind {
        case .code:
            if unit.addedSections[target] != nil {
                if use == .address, !isLiteral || offset == 0 {
                    note(
                        .newFunctionAddress, item.name,
                        "\(owner) takes the address of the new function \(item.name), which may be kept longer than the patch."
                    )
                }
                return .piece(piece(unit: number, section: target), offset: 0)
            }
            if unit.changedSections[target] != nil {
                // A branch goes to the new function; so does whatever leads inside (jump tables, cold
                // parts). An address keeps its identity: it is that of the old function.
                if use == .branch || offset != 0 {
                    return .piece(piece(unit: number, section: target), offset: 0)
                }
            }
            return existing(item, unit: number, owner: owner)
        case .literal:
            if let address = existingLiteral(item, unit: number) { return .target(address) }
            return .piece(piece(unit: number, section: target), offset: 0)
        case .constant where unit.diff.origin[target] < 0:
            let section = unit.diff.post.object.sections[target]
            if !section.relocations.isEmpty || section.isWritable {
                note(
                    .newDataWithAddresses, item.name,
                    "\(owner) uses \(item.name), a new constant that holds addresses.")
            } else if item.isGlobal {
                note(
                    .newDataWithAddresses, item.name, "\(owner) uses \(item.name), new data that other objects can see."
                )
            }
            return .piece(piece(unit: number, section: target), offset: 0)
        case .variable where unit.diff.origin[target] < 0:
            note(.newWritableData, item.name, "\(owner) uses the new variable \(item.name).")
            return nil
        case .threadLocal:
            note(.threadLocalStorage, owner, "\(owner) uses the thread-local variable \(item.name).")
            return nil
        case .constant, .variable:
            return existing(item, unit: number, owner: owner)
        case .merged, .startOrEnd, .exceptionTable:
            note(.notUnderstood, owner, "\(owner) refers to the section \(item.name).")
            return nil
        }
    }

    /// A function or datum that the target has.
    private mutating func existing(_ item: Item, unit number: Int, owner: String) -> Piece.Destination? {
        let unit = units[number]
        let origin = unit.diff.origin[item.section]
        guard origin >= 0,
            let address = unit.address(ofPreSection: origin, placement: placement, shipped: shipped)
        else {
            note(
                .unresolvedSymbol, item.name,
                "\(owner) refers to \(item.name) of \(unit.name), whose address in the target is not known.")
            return nil
        }
        targetNames[address] = item.name
        return .target(address)
    }

    /// A literal with a name of its own that the target has with the same contents: pointers to it then
    /// outlive the patch.
    private func existingLiteral(_ item: Item, unit number: Int) -> Int? {
        let unit = units[number]
        let post = unit.diff.post.object
        guard !item.symbols.isEmpty, post.sections[item.section].relocations.isEmpty else { return nil }
        let stem = SymbolStem.stem(item.name)
        for candidate in unit.diff.pre.items {
            guard let candidate, candidate.kind == .literal, !candidate.symbols.isEmpty,
                SymbolStem.stem(candidate.name) == stem,
                unit.diff.pre.object.sections[candidate.section].alignment >= post.sections[item.section].alignment,
                unit.diff.pre.object.contents(candidate.section).elementsEqual(post.contents(item.section)),
                let address = unit.address(ofPreSection: candidate.section, placement: placement, shipped: shipped),
                shipped.contents(address, count: post.sections[item.section].size)?
                    .elementsEqual(post.contents(item.section)) ?? false
            else { continue }
            return address
        }
        return nil
    }

    /// A merged string or constant: that of the target where it is known, else a copy.
    private mutating func merged(
        _ relocation: ObjectRelocation, symbol: ObjectSymbol, unit number: Int, section: Int, owner: String
    ) -> (Piece.Destination, addend: Int)? {
        let unit = units[number]
        let object = unit.diff.post.object
        let reference = MergedReference(relocation, symbol: symbol)
        guard let literal = object.literal(section: section, offset: reference.offset) else {
            note(.notUnderstood, owner, "\(owner) refers to no string or constant of \(object.sections[section].name).")
            return nil
        }
        let bytes = [UInt8](literal.bytes)
        if literal.distance == 0, let address = unit.literals[bytes] { return (.target(address), reference.addend) }
        let alignment = object.sections[section].alignment
        if alignment > 16 {
            note(
                .notUnderstood, owner,
                "\(owner) uses a constant that is aligned to \(alignment) bytes, an image only to 16.")
        }
        let piece = literalPiece(bytes, alignment: min(16, alignment))
        return (.piece(piece, offset: literal.distance), reference.addend)
    }

    /// A symbol that other objects see or define.
    private mutating func global(_ symbol: ObjectSymbol, use: Use, owner: String) -> Piece.Destination? {
        let name = symbol.baseName
        if symbol.isCommon {
            note(.newWritableData, name, "\(owner) uses the common block \(name).")
            return nil
        }
        let function = globalFunctions[name]
        let isAdded = function.map { units[$0.unit].addedSections[$0.section] != nil } ?? false
        switch use {
        case .branch:
            // A stub of the target leads to the old entry, and so to the new function.
            let known = resolver.branchTarget(name)
            if let function, isAdded || known == nil || known == placement.global(name)?.value {
                return .piece(piece(unit: function.unit, section: function.section), offset: 0)
            }
            if let target = known {
                targetNames[target] = name
                return .target(target)
            }
            if let slot = resolver.slot(name) {
                targetNames[slot] = name + "@got"
                return .piece(stubPiece(slot: slot, name: name), offset: 0)
            }
        case .address:
            if let function, isAdded {
                note(
                    .newFunctionAddress, name,
                    "\(owner) takes the address of the new function \(name), which may be kept longer than the patch.")
                return .piece(piece(unit: function.unit, section: function.section), offset: 0)
            }
            if let address = resolver.address(name) {
                targetNames[address] = name
                return .target(address)
            }
        }
        note(
            .unresolvedSymbol, name,
            "\(owner) refers to \(name), which the target neither imports nor defines within reach.")
        return nil
    }

    // MARK: - Through the GOT

    private mutating func bindSlot(
        _ relocation: ObjectRelocation, in piece: Int, unit number: Int, section: Int, owner: String
    ) {
        let unit = units[number]
        let symbol = unit.diff.post.object.symbols[relocation.symbol]
        pieces[piece].clear(relocation.offset, count: 4)
        if !symbol.isLocal, globalAdded(symbol.baseName) == nil, let slot = resolver.slot(symbol.baseName) {
            targetNames[slot] = symbol.baseName + "@got"
            pieces[piece].fields.append(
                Piece.Field(
                    offset: relocation.offset, kind: .relative32, destination: .target(slot), addend: relocation.addend)
            )
            return
        }
        // No slot to use: the address itself, if it is the target's own for certain.
        let destination: Piece.Destination?
        if symbol.isLocal, let target = symbol.section, let item = unit.diff.post.items[target] {
            destination = local(
                item, unit: number, use: .address, offset: symbol.value, isLiteral: false, owner: owner
            )?.moved(by: symbol.value)
        } else if resolver.isExported(symbol.baseName) {
            note(
                .unresolvedSymbol, symbol.baseName,
                "\(owner) takes the address of \(symbol.baseName), which another object may replace and for which the target has no GOT slot."
            )
            return
        } else {
            destination = global(symbol, use: .address, owner: owner)
        }
        guard let destination else { return }
        if let relaxed = pieces[piece].relax(relocation) {
            pieces[piece].fields.append(
                Piece.Field(
                    offset: relaxed.offset, kind: .relative32, destination: destination, addend: relocation.addend))
            return
        }
        let slot = slotPiece(destination)
        pieces[piece].fields.append(
            Piece.Field(
                offset: relocation.offset, kind: .relative32, destination: .piece(slot, offset: 0),
                addend: relocation.addend))
    }

    private func globalAdded(_ name: String) -> Int? {
        guard let function = globalFunctions[name] else { return nil }
        return units[function.unit].addedSections[function.section]
    }
}

extension Piece.Destination {
    /// The destination some bytes further on.
    func moved(by distance: Int) -> Piece.Destination {
        switch self {
        case .piece(let number, let offset): .piece(number, offset: offset + distance)
        case .target(let address): .target(address &+ distance)
        }
    }
}

extension Piece {
    /// Sets a field to zero.
    mutating func clear(_ offset: Int, count: Int) {
        for index in offset..<(offset + count) where index < bytes.count { bytes[index] = 0 }
    }

    /// Makes a load, call or jump through the GOT direct, as linkers do (psABI x86-64, section 9.2).
    ///
    /// - Returns: where the displacement is now; nil where the instruction has no direct form.
    mutating func relax(_ relocation: ObjectRelocation) -> (offset: Int, Void)? {
        let offset = relocation.offset
        guard relocation.type != .gotPCRelative, relocation.addend == -4, offset >= 2, offset + 4 <= bytes.count else {
            return nil
        }
        switch (bytes[offset - 2], bytes[offset - 1]) {
        case (0x8b, let modRM) where modRM & 0xc7 == 0x05:
            bytes[offset - 2] = 0x8d
            return (offset, ())
        case (0xff, 0x15):
            bytes[offset - 2] = 0x67
            bytes[offset - 1] = 0xe8
            return (offset, ())
        case (0xff, 0x25):
            bytes[offset - 2] = 0xe9
            for index in 0..<4 { bytes[offset - 1 + index] = 0 }
            bytes[offset + 3] = 0x90
            return (offset - 1, ())
        default:
            return nil
        }
    }
}
