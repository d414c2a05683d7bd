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
    /// What the author says about changed data, and what is wrong with that.
    var changedData: ChangedData
    var pieces: [Piece] = []
    private var numbers: [Piece.Key: Int] = [:]
    /// Added functions that are used, as sections by unit.
    private(set) var usedFunctions: Set<Piece.Key> = []
    /// Names for addresses of the target that are referred to.
    var targetNames: [Int: String] = [:]

    init(
        shipped: ShippedBinary, linkage: LinkageTable, placement: Placement, units: [RebuiltUnit],
        waivers: [Waiver] = []
    ) {
        self.shipped = shipped
        self.placement = placement
        self.units = units
        changedData = ChangedData(units, waivers: waivers)
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
    mutating func note(_ code: Reason.Code, _ subject: String, _ text: String, object: String = "") {
        let reason = Reason(code, subject, text, object: object)
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
        if alignment > ImageBuilder.alignment {
            note(
                .notUnderstood, item?.name ?? header.name,
                "\(item?.name ?? header.name) is aligned to \(alignment) bytes, an image only to \(ImageBuilder.alignment)."
            )
            alignment = ImageBuilder.alignment
        }
        if units[number].addedSections[section] != nil { usedFunctions.insert(key) }
        let piece = append(
            Piece(
                key: key, isCode: header.isCode, alignment: alignment, bytes: [UInt8](object.contents(section)),
                name: item?.symbols.isEmpty ?? true ? "" : item?.name ?? ""))
        var replacedCall: Int?
        for relocation in header.relocations {
            if let call = replacedCall, relocation.offset == call {
                replacedCall = nil
            } else if ThreadLocalSequence.extent(of: relocation.type) != nil {
                replacedCall = bindThreadLocal(relocation, in: piece, unit: number, section: section)
            } else {
                bind(relocation, in: piece, unit: number, section: section)
            }
        }
        return piece
    }

    /// A string or constant.
    mutating func literalPiece(_ bytes: [UInt8], alignment: Int) -> Int {
        let key = Piece.Key.literal(bytes)
        if let known = numbers[key] {
            pieces[known].alignment = max(pieces[known].alignment, alignment)
            return known
        }
        return append(Piece(key: key, isCode: false, alignment: alignment, bytes: bytes, name: ""))
    }

    /// A slot that holds an address.
    mutating func slotPiece(_ destination: Piece.Destination) -> Int {
        let key = Piece.Key.slot(destination)
        if let known = numbers[key] { return known }
        let piece = append(
            Piece(key: key, isCode: false, alignment: 8, bytes: [UInt8](repeating: 0, count: 8), name: ""))
        pieces[piece].fields = [Piece.Field(offset: 0, kind: .absolute64, destination: destination, addend: 0)]
        return piece
    }

    /// A stub for a function that the target knows only by a GOT slot: `jmp *slot(%rip)`.
    mutating func stubPiece(slot: Int, name: String) -> Int {
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
}
