//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF

/// Thread-local variables: changed functions reach them exactly as the target does, by its own GOT slots or the
/// constants of its own block. A slot is filled once, when the target is loaded, and a live patch has none of its
/// own: so what the target has no access for is refused.
extension Linker {
    /// A variable that the target has, by what its slots can be found.
    private struct ThreadLocalVariable {
        /// Its name, where the dynamic linker decides whose it is.
        var name: String?
        /// Its offset in the target's block; nil where it is not the target's.
        var offset: Int?
        /// What it is called in a reason.
        var label: String
    }

    /// Binds an access to a thread-local variable.
    ///
    /// - Returns: where in the section the call of `__tls_get_addr` has its field, if the access is one that the
    ///   target's linker made do without.
    mutating func bindThreadLocal(
        _ relocation: ObjectRelocation, in piece: Int, unit number: Int, section: Int
    ) -> Int? {
        let unit = units[number]
        let object = unit.diff.post.object
        let symbol = object.symbols[relocation.symbol]
        let owner = unit.diff.post.items[section]?.name ?? object.sections[section].name
        guard object.sections[section].isCode,
            let sequence = ThreadLocalSequence(relocation, code: object.contents(section))
        else {
            note(.threadLocalStorage, owner, "\(owner) reaches \(symbol.name) by instructions that are not understood.")
            return nil
        }
        if sequence.model == .localDynamic {
            return bindOwnBlock(sequence, relocation, in: piece, unit: unit, owner: owner)
        }
        guard let variable = variable(symbol, unit: unit, owner: owner) else { return nil }
        let isDynamic = sequence.model == .generalDynamic || sequence.model == .descriptor
        let kind: ThreadLocalSlots.Kind =
            switch sequence.model {
            case .generalDynamic: .pair
            case .descriptor, .descriptorCall: .descriptor
            default: .pointerOffset
            }
        switch sequence.model {
        case .generalDynamic, .descriptor, .descriptorCall, .initialExec:
            if let slot = slot(kind, of: variable) {
                if isDynamic, !unit.dynamicAccesses.contains(unit.threadLocalKey(ofPost: symbol)) {
                    refuseFirstUse(owner, variable.label)
                }
                write(sequence, sequence.asCompiled, to: .target(slot), in: piece)
                return nil
            }
            if let form = sequence.initialExec, let slot = slot(.pointerOffset, of: variable) {
                write(sequence, form, to: .target(slot), in: piece)
                return sequence.call
            }
            if let form = sequence.localExec, let value = pointerOffset(of: variable) {
                write(sequence, form, value: value, in: piece)
                return sequence.call
            }
        case .localExec:
            if let value = pointerOffset(of: variable) {
                write(sequence, sequence.asCompiled, value: value &+ relocation.addend, in: piece)
                return nil
            }
        case .blockOffset:
            let value = shipped.isExecutable ? pointerOffset(of: variable) : variable.offset
            if let value {
                write(sequence, sequence.asCompiled, value: value &+ relocation.addend, in: piece)
                return nil
            }
        case .localDynamic: break
        }
        note(
            .threadLocalStorage, owner,
            "\(owner) uses the thread-local variable \(variable.label), for which the target has no such access.")
        return nil
    }

    /// The access to the whole block of the target.
    private mutating func bindOwnBlock(
        _ sequence: ThreadLocalSequence, _ relocation: ObjectRelocation, in piece: Int, unit: RebuiltUnit, owner: String
    ) -> Int? {
        if shipped.isExecutable, shipped.threadLocalBlock != nil, let form = sequence.localExec {
            write(sequence, form, in: piece)
            return sequence.call
        }
        let slot = ThreadLocalSlots.Slot(kind: .pair, variable: .own(offset: 0))
        guard let pair = resolver.linkage.threadLocals.addresses[slot] else {
            note(
                .threadLocalStorage, owner,
                "\(owner) uses thread-local variables, for whose block the target has no GOT slots.")
            return nil
        }
        if !unit.dynamicAccesses.contains(RebuiltUnit.ownBlock) { refuseFirstUse(owner, "the target") }
        write(sequence, sequence.asCompiled, to: .target(pair), in: piece)
        return nil
    }

    /// The first access of a thread allocates the block, which what was not made for it may not survive (a signal
    /// handler, an allocator): so only functions of which one did it before may do it.
    private mutating func refuseFirstUse(_ owner: String, _ label: String) {
        note(
            .threadLocalStorage, owner,
            "\(owner) may be the first to use the thread-local storage of \(label), which allocates it; no changed function did so before."
        )
    }

    /// What the target has for a variable; nil with a reason noted.
    private mutating func variable(
        _ symbol: ObjectSymbol, unit: RebuiltUnit, owner: String
    ) -> ThreadLocalVariable? {
        let name = symbol.isLocal ? nil : symbol.baseName
        let address: Int?
        var label = symbol.name
        if let target = symbol.section {
            label = unit.diff.post.items[target]?.name ?? label
            let origin = unit.diff.origin[target]
            guard origin >= 0, unit.diff.pre.items[origin]?.kind == .threadLocal else {
                note(.threadLocalStorage, label, "\(owner) uses the new thread-local variable \(label).")
                return nil
            }
            address = unit.address(ofPreSection: origin, placement: placement, shipped: shipped)
                .map { $0 &+ symbol.value }
        } else {
            address = placement.global(symbol.baseName)?.value
        }
        guard let block = shipped.threadLocalBlock, let address else {
            return ThreadLocalVariable(name: name, offset: nil, label: label)
        }
        let offset = address &- block.address
        return ThreadLocalVariable(name: name, offset: block.offsets.contains(offset) ? offset : nil, label: label)
    }

    private func slot(_ kind: ThreadLocalSlots.Kind, of variable: ThreadLocalVariable) -> Int? {
        let addresses = resolver.linkage.threadLocals.addresses
        if let name = variable.name,
            let slot = addresses[ThreadLocalSlots.Slot(kind: kind, variable: .named(name))]
        {
            return slot
        }
        return variable.offset.flatMap { addresses[ThreadLocalSlots.Slot(kind: kind, variable: .own(offset: $0))] }
    }

    /// The offset from the thread pointer of an executable's own variable.
    private func pointerOffset(of variable: ThreadLocalVariable) -> Int? {
        guard shipped.isExecutable, let offset = variable.offset,
            let distance = shipped.threadLocalBlock?.pointerDistance
        else { return nil }
        return offset &+ distance
    }

    // MARK: - Writing

    private mutating func write(_ sequence: ThreadLocalSequence, _ form: ThreadLocalSequence.Form, in piece: Int) {
        for (index, byte) in form.bytes.enumerated() where sequence.range.lowerBound + index < pieces[piece].bytes.count
        {
            // What the call of an access that stays refers to is bound by its own relocation.
            pieces[piece].bytes[sequence.range.lowerBound + index] = byte
        }
    }

    private mutating func write(
        _ sequence: ThreadLocalSequence, _ form: ThreadLocalSequence.Form, to destination: Piece.Destination,
        in piece: Int
    ) {
        write(sequence, form, in: piece)
        guard let field = form.field else { return }
        let offset = sequence.range.lowerBound + field
        pieces[piece].clear(offset, count: 4)
        pieces[piece].fields.append(
            Piece.Field(offset: offset, kind: .relative32, destination: destination, addend: -4))
    }

    private mutating func write(
        _ sequence: ThreadLocalSequence, _ form: ThreadLocalSequence.Form, value: Int, in piece: Int
    ) {
        write(sequence, form, in: piece)
        guard let field = form.field else { return }
        guard let value = Int32(exactly: value) else {
            note(.threadLocalStorage, "", "A thread-local variable lies more than 2 GiB from the start of its block.")
            return
        }
        let bits = UInt32(bitPattern: value)
        for index in 0..<4 {
            let offset = sequence.range.lowerBound + field + index
            guard offset < pieces[piece].bytes.count else { return }
            pieces[piece].bytes[offset] = UInt8(truncatingIfNeeded: bits >> UInt32(8 * index))
        }
    }
}

extension RebuiltUnit {
    /// Stands for the block of the target itself in `dynamicAccesses`.
    static let ownBlock = "block"

    /// What names a thread-local variable of the fixed object in `dynamicAccesses`.
    func threadLocalKey(ofPost symbol: ObjectSymbol) -> String {
        guard let section = symbol.section else { return "name " + symbol.baseName }
        return "section \(diff.origin[section])"
    }

    /// The variables that changed functions reached by a call before the fix (`__tls_get_addr`, a descriptor).
    static func dynamicAccesses(_ diff: ObjectDiff) -> Set<String> {
        var result: Set<String> = []
        let object = diff.pre.object
        for section in diff.changed.flatMap(\.pre) {
            for relocation in object.sections[section].relocations {
                let symbol = object.symbols[relocation.symbol]
                switch relocation.type {
                case .tlsLocalDynamic: result.insert(ownBlock)
                case .tlsGeneralDynamic, .gotPC32TLSDescriptor:
                    result.insert(symbol.section.map { "section \($0)" } ?? "name " + symbol.baseName)
                default: break
                }
            }
        }
        return result
    }
}
