//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF

extension Linker {
    /// How a reference uses what it refers to.
    enum Use {
        case branch
        case address
    }

    /// Binds one reference of a piece.
    mutating func bind(_ relocation: ObjectRelocation, in piece: Int, unit number: Int, section: Int) {
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
        case .threadLocalOffset64, .threadPointerOffset64, .threadLocalModule:
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
    mutating func local(
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
                        "\(owner) takes the address of the new function \(item.name), which may be kept longer than the patch.",
                        object: unit.name)
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
                    "\(owner) uses \(item.name), a new constant that holds addresses.", object: unit.name)
            } else if item.isGlobal {
                note(
                    .newDataWithAddresses, item.name,
                    "\(owner) uses \(item.name), new data that other objects can see.", object: unit.name)
            }
            return .piece(piece(unit: number, section: target), offset: 0)
        case .variable where unit.diff.origin[target] < 0:
            note(.newWritableData, item.name, "\(owner) uses the new variable \(item.name).")
            return nil
        case .threadLocal:
            note(.threadLocalStorage, owner, "\(owner) uses the thread-local variable \(item.name).")
            return nil
        case .constant, .variable:
            if changedData.usesNewContents(of: item, unit: number, at: offset) {
                return .piece(piece(unit: number, section: target), offset: 0)
            }
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
        if alignment > ImageBuilder.alignment {
            note(
                .notUnderstood, owner,
                "\(owner) uses a constant that is aligned to \(alignment) bytes, an image only to \(ImageBuilder.alignment)."
            )
        }
        let piece = literalPiece(bytes, alignment: min(ImageBuilder.alignment, alignment))
        return (.piece(piece, offset: literal.distance), reference.addend)
    }

    /// Functions of the dynamic linker that look at their return address (`RTLD_NEXT`, `RTLD_DEFAULT`, the search
    /// path and the name space of the caller).
    private static let askingForCaller: Set<String> = ["dlopen", "dlmopen", "dlsym", "dlvsym"]

    /// Notes a use of one of them.
    mutating func noteCaller(_ symbol: ObjectSymbol, owner: String) {
        guard symbol.section == nil, Self.askingForCaller.contains(symbol.baseName) else { return }
        note(
            .callerAddress, owner,
            "\(owner) calls \(symbol.baseName), which answers by the object that its caller lies in; patch memory is none."
        )
    }

    /// A symbol that other objects see or define.
    mutating func global(_ symbol: ObjectSymbol, use: Use, owner: String) -> Piece.Destination? {
        let name = symbol.baseName
        if symbol.isCommon {
            note(.newWritableData, name, "\(owner) uses the common block \(name).")
            return nil
        }
        noteCaller(symbol, owner: owner)
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
                changedData.noteUse(ofGlobal: name)
                targetNames[address] = name
                return .target(address)
            }
        }
        note(
            .unresolvedSymbol, name,
            "\(owner) refers to \(name), which the target neither imports nor defines within reach.")
        return nil
    }
}
