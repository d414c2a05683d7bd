//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF

/// Finds what the target itself has for a symbol of the fixed objects.
struct SymbolResolver {
    let shipped: ShippedBinary
    let linkage: LinkageTable
    let placement: Placement

    /// Where a call of a global function goes: the target's own PLT stub where it has one, so that
    /// interposition stays as it is; else the function itself.
    func branchTarget(_ name: String) -> Int? {
        let known = placement.global(name)
        if let stub = known?.stub ?? onlyStub(name) { return stub }
        if let value = known?.value { return value }
        return export(name)
    }

    /// The address of something global that cannot be interposed or that the target refers to directly.
    func address(_ name: String) -> Int? {
        // What the target exports and does not refer to directly may be another's at run time.
        placement.global(name)?.value
    }

    /// The GOT slot that holds the address of a global symbol in the running target.
    func slot(_ name: String) -> Int? {
        if let slot = placement.global(name)?.slot, isBound(slot) { return slot }
        let slots = linkage.slotsByName[name] ?? []
        guard Set(slots.map(\.version)).count <= 1 else { return nil }
        if let slot = slots.first(where: { !$0.isJumpSlot }) { return slot.address }
        // A slot of the PLT holds the function's address only once it is resolved.
        return shipped.bindsNow ? slots.first?.address : nil
    }

    /// Whether a symbol that the target defines can be another object's at run time. Those of a program come first
    /// in every search, and a library that is linked with `-Bsymbolic` searches itself first.
    func isInterposable(_ name: String) -> Bool {
        shipped.exports[name] != nil && !shipped.isExecutable && !shipped.isSymbolic
    }

    private func isBound(_ slot: Int) -> Bool {
        shipped.bindsNow || shipped.dynamicRelocations[slot]?.type != .jumpSlot
    }

    private func onlyStub(_ name: String) -> Int? {
        let stubs = linkage.stubsByName[name] ?? []
        guard Set(stubs.map(\.version)).count == 1 else { return nil }
        return stubs.first?.address
    }

    private func export(_ name: String) -> Int? {
        guard let exports = shipped.exports[name], exports.count == 1, let only = exports.first, only.isFunction,
            !only.isIndirect
        else { return nil }
        return only.address
    }
}
