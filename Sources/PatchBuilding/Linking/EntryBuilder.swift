//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF
internal import LivePatch
internal import MachineCode
internal import Unwinding

/// Looks at an old function as it is shipped: its bytes, its first instructions, and what leads into them.
struct EntryBuilder {
    /// An old function, ready to be made an entry.
    struct Draft {
        let name: String
        let unit: Int
        let function: Int
        /// Where the function starts.
        let start: Int
        /// Its size in the shipped binary.
        let size: Int
        /// Where the jump goes: behind an `endbr64` at the start.
        let address: Int
        let expected: [UInt8]
        let masked: [MaskedRange]
        let prologue: [UInt8]
        /// The gate before it has a place; nil where the prologue cannot be moved.
        let gate: GateBuilder?
        /// Rules of the old function, for the gate's.
        let frame: ExtractedFrame?
    }

    let shipped: ShippedBinary
    let placement: Placement
    private(set) var reasons: [Reason] = []
    private var decoder = InstructionDecoder()

    init(shipped: ShippedBinary, placement: Placement) {
        self.shipped = shipped
        self.placement = placement
    }

    private mutating func note(_ code: Reason.Code, _ subject: String, _ text: String, object: String = "") {
        reasons.append(Reason(code, subject, text, object: object))
    }

    /// Makes the draft of one changed function; nil with a reason where there is nothing to jump from.
    mutating func draft(_ number: Int, of unit: RebuiltUnit, unit unitNumber: Int) -> Draft? {
        let function = unit.diff.changed[number]
        let name = function.name
        guard let section = function.pre.first, let item = unit.diff.pre.items[section], !item.isCompound else {
            note(.assembler, name, "\(name) is hand-written or has no section of its own.")
            return nil
        }
        if item.symbols.contains(where: { unit.diff.pre.object.symbols[$0].type == .indirectFunction }) {
            note(.indirectFunction, name, "\(name) chooses a function at start; what it chose is not called again.")
        }
        guard var address = address(of: item, unit: unit) else {
            note(.notMatched, name, "\(name) of \(unit.name) was not found in the shipped binary.")
            return nil
        }
        guard let index = shipped.functionsByStart[address],
            let entry = EntryBytes(shipped.functions[index], in: shipped)
        else {
            note(.assembler, name, "\(name) has no unwind rules in the shipped binary, so its end is not certain.")
            return nil
        }
        if shipped.functions[index].hasLanguageData {
            note(.exceptionHandling, name, "\(name) takes part in exception handling.")
        }
        for number in item.symbols {
            let symbol = unit.diff.pre.object.symbols[number]
            guard !symbol.isLocal, !isUsed(symbol.baseName, at: address &+ symbol.value) else { continue }
            note(
                .notMatched, name,
                "The target uses another definition of \(symbol.name) than that of \(unit.name), which the fix changes."
            )
        }
        let start = address
        address += entry.skipped
        let expected = entry.bytes
        guard expected.count >= Entry.overwrittenSize else {
            note(
                .tooShort, name,
                "\(name) has \(expected.count) bytes up to what follows it; a jump takes \(Entry.overwrittenSize).")
            return nil
        }
        if address & 0xfff > 0x1000 - Entry.overwrittenSize {
            note(.entryCrossesPage, name, "The first bytes of \(name) lie on two pages.")
        }
        checkReferences(into: section, of: unit, name: name, overwritten: entry.skipped + Entry.overwrittenSize)
        let code = EntryCode(expected, at: UInt64(address), skipped: entry.skipped, decoder: &decoder)
        if code.decoded.undecodable != nil {
            note(.notUnderstood, name, "\(name) holds bytes that are no instructions.")
            return nil
        }
        if code.branchesToEntry {
            note(.branchIntoEntry, name, "\(name) jumps back to its own first byte.")
        }
        if code.returnsIntoEntry {
            note(.branchIntoEntry, name, "A call in \(name) returns into its first bytes.")
        }
        if case .failure(let error) = code.relocation, error.code == .branchIntoEntry {
            note(.branchIntoEntry, name, "\(name): \(error.reason)")
        }
        let masked = masked(address, count: expected.count)
        // A gate holds the first instructions as the file has them, not as the dynamic linker makes them.
        let isWritten = masked.contains { Int($0.offset) < code.prologueSize }
        let frame = (try? shipped.frames.description(index: shipped.functions[index].descriptionIndex))
            .flatMap { try? shipped.frames.extracted($0) }
        return Draft(
            name: name, unit: unitNumber, function: number, start: start,
            size: shipped.functions[index].size, address: address, expected: expected,
            masked: masked, prologue: code.prologue,
            gate: isWritten
                ? nil : (try? code.relocation.get()).map { GateBuilder(prologue: $0, address: UInt64(address)) },
            frame: frame)
    }

    /// Whether the target means an address by a name, as far as it says what it means: of weak definitions the linker
    /// may have taken another.
    private func isUsed(_ name: String, at address: Int) -> Bool {
        if let value = placement.global(name)?.value, value != address { return false }
        guard let exports = shipped.exports[name] else { return true }
        return exports.contains { $0.address == address }
    }

    /// The address of a function in the plain object, where its size must be that of its unwind rules.
    private mutating func address(of item: Item, unit: RebuiltUnit) -> Int? {
        for number in item.symbols {
            guard let plain = unit.plainSymbols[unit.diff.pre.object.symbols[number].name], plain >= 0,
                let address = placement.address(ofSymbol: plain, in: unit.index)
            else { continue }
            let size = unit.plain.symbols[plain].size
            if let index = shipped.functionsByStart[address], shipped.functions[index].size != size {
                note(.assembler, item.name, "\(item.name) has another size than its unwind rules cover.")
            }
            return address
        }
        return nil
    }

    private func masked(_ address: Int, count: Int) -> [MaskedRange] {
        shipped.relocations(in: address..<(address + count)).compactMap { place in
            let first = max(place, address)
            let end = min(place + 8, address + count)
            guard end > first else { return nil }
            return MaskedRange(offset: UInt32(first - address), length: UInt32(end - first))
        }
    }

    /// What leads into a function from outside of it (cold parts, jump tables, tables of labels) shows in the
    /// relocations of the object with sections, where every such reference is one.
    private mutating func checkReferences(
        into section: Int, of unit: RebuiltUnit, name: String, overwritten: Int
    ) {
        let object = unit.diff.pre.object
        for item in unit.diff.pre.items {
            guard let item, item.section != section else { continue }
            let starts = item.kind == .literal ? Self.tableStarts(item.section, in: unit.diff.pre) : []
            for relocation in object.sections[item.section].relocations {
                let symbol = object.symbols[relocation.symbol]
                guard symbol.section == section else { continue }
                let offset: Int
                switch relocation.type {
                case .pc32 where item.kind == .literal:
                    // An entry of a jump table counts from the table's start.
                    let start = starts.last { $0 <= relocation.offset } ?? 0
                    offset = symbol.value &+ relocation.addend &- (relocation.offset - start)
                case .pc32, .plt32: offset = symbol.value &+ relocation.addend &+ 4
                case .absolute64: offset = symbol.value &+ relocation.addend
                default: continue
                }
                // Jump tables and the function's own cold part lead into it; other code calls it.
                let isOwn =
                    item.kind == .literal && relocation.type == .pc32 || SymbolStem.parentOfCold(item.name) == name
                if (1..<overwritten).contains(offset) || (offset == 0 && isOwn) {
                    note(.branchIntoEntry, name, "\(item.name) leads into the first bytes of \(name).")
                }
                if item.kind == .startOrEnd {
                    note(
                        .startOrEndCode, name, "\(name) runs only at the start or the end of the program.",
                        object: unit.name)
                }
                if offset != 0, item.kind == .constant || item.kind == .variable {
                    note(.notUnderstood, name, "\(item.name) holds the address of a place inside \(name).")
                }
            }
        }
        if object.sections[section].name.hasPrefix(".text.startup")
            || object.sections[section].name.hasPrefix(".text.exit")
        {
            note(
                .startOrEndCode, name, "\(name) runs only at the start or the end of the program.", object: unit.name)
        }
    }

    /// Offsets in a section at which code refers to it: where its tables begin.
    private static func tableStarts(_ section: Int, in table: ItemTable) -> [Int] {
        var starts: Set<Int> = []
        for item in table.items {
            guard let item, item.kind == .code else { continue }
            for relocation in table.object.sections[item.section].relocations {
                let symbol = table.object.symbols[relocation.symbol]
                guard symbol.section == section else { continue }
                starts.insert(symbol.value &+ relocation.addend &+ 4)
            }
        }
        return starts.sorted()
    }
}
