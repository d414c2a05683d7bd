//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF

extension Linker {
    /// Binds a reference through the GOT: by the target's own slot, directly, or by a slot of the image.
    mutating func bindSlot(
        _ relocation: ObjectRelocation, in piece: Int, unit number: Int, section: Int, owner: String
    ) {
        let unit = units[number]
        let symbol = unit.diff.post.object.symbols[relocation.symbol]
        pieces[piece].clear(relocation.offset, count: 4)
        noteCaller(symbol, owner: owner)
        if !symbol.isLocal, globalAdded(symbol.baseName) == nil, let slot = resolver.slot(symbol.baseName) {
            changedData.noteUse(ofGlobal: symbol.baseName)
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
        } else if resolver.isInterposable(symbol.baseName) {
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
