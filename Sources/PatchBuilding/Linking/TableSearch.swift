//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF

/// Finds a table of addresses that no code of the rebuilt objects refers to, by the functions that it holds.
///
/// A dispatch table is often used by other objects only, which the fix does not affect and nobody has rebuilt. What the
/// dynamic linker writes into it stands in the shipped binary: one `R_X86_64_RELATIVE` for each address. The table
/// itself is among the places that hold them, so where there is one place only, it is the table's.
struct TableSearch {
    let shipped: ShippedBinary
    let placement: Placement

    /// The address of a constant before the fix; nil unless it is certain.
    func address(of item: Item, in unit: RebuiltUnit) -> Int? {
        let object = unit.diff.pre.object
        let section = object.sections[item.section]
        guard item.kind == .constant, section.relocations.allSatisfy({ $0.type == .absolute64 }) else { return nil }
        let expected = section.relocations.map { destination($0, of: object, in: unit) }
        guard let anchor = expected.firstIndex(where: { $0 != nil }) else { return nil }
        var found: Set<Int> = []
        for (place, relocation) in shipped.dynamicRelocations
        where relocation.type == .relative && relocation.addend == expected[anchor] {
            let base = place &- section.relocations[anchor].offset
            if holds(base, item.section, of: object, expected) { found.insert(base) }
        }
        return found.count == 1 ? found.first : nil
    }

    /// The target-relative address that a field holds; nil where it is not known.
    private func destination(_ relocation: ObjectRelocation, of object: ObjectFile, in unit: RebuiltUnit) -> Int? {
        let symbol = object.symbols[relocation.symbol]
        guard let section = symbol.section, unit.diff.pre.items[section]?.kind == .code,
            let start = unit.address(ofPreSection: section, placement: placement, shipped: shipped)
        else { return nil }
        return start &+ symbol.value &+ relocation.addend
    }

    /// Whether the shipped binary has the table at a place: each address where it must be and no other, and between
    /// them the same bytes.
    private func holds(_ base: Int, _ number: Int, of object: ObjectFile, _ expected: [Int?]) -> Bool {
        let section = object.sections[number]
        let contents = object.contents(number)
        guard base % section.alignment == 0, let shippedBytes = shipped.contents(base, count: contents.count),
            shipped.section(containing: base)?.isCode == false,
            shipped.relocations(in: base..<(base + contents.count)).count == section.relocations.count
        else { return false }
        var fields = [Bool](repeating: false, count: contents.count)
        for (relocation, address) in zip(section.relocations, expected) {
            guard let written = shipped.dynamicRelocations[base &+ relocation.offset] else { return false }
            let symbol = object.symbols[relocation.symbol]
            if written.type == .relative {
                guard address == nil || address == written.addend else { return false }
            } else if written.symbol != symbol.baseName {
                return false
            }
            for index in relocation.offset..<min(relocation.offset + 8, fields.count) { fields[index] = true }
        }
        for (index, (old, new)) in zip(contents, shippedBytes).enumerated() where !fields[index] && old != new {
            return false
        }
        return true
    }
}
