//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF

/// What a shipped file reaches other symbols through: PLT stubs, decoded from the code, and GOT slots, named
/// by the dynamic relocations (psABI x86-64, section 5.2).
struct LinkageTable: Sendable {
    /// A PLT stub: an indirect jump through a slot.
    struct Stub: Sendable, Equatable {
        let address: Int
        let slot: Int
        /// The symbol the slot is filled with; empty for the result of a resolver (`R_X86_64_IRELATIVE`).
        let symbol: String
        let version: String
    }

    /// A slot that holds the address of a symbol.
    struct Slot: Sendable, Equatable {
        let address: Int
        let version: String
        /// Whether it is filled lazily, so that it may hold the address of PLT code.
        let isJumpSlot: Bool
    }

    /// Stubs by their address.
    private(set) var stubs: [Int: Stub] = [:]
    /// Stubs by symbol, ascending.
    private(set) var stubsByName: [String: [Stub]] = [:]
    /// Slots by symbol, ascending.
    private(set) var slotsByName: [String: [Slot]] = [:]
    /// Slots that hold an address of the file itself (`R_X86_64_RELATIVE`), by that address, ascending.
    private(set) var localSlots: [Int: [Int]] = [:]

    /// Slots through which thread-local variables are reached.
    let threadLocals: ThreadLocalSlots

    /// Decodes the stubs and lists the slots of a file.
    init(_ shipped: ShippedBinary) {
        threadLocals = ThreadLocalSlots(shipped)
        let tables = shipped.sections.filter { $0.name == ".got" || $0.name == ".got.plt" }
        for address in shipped.relocatedAddresses {
            guard let relocation = shipped.dynamicRelocations[address] else { continue }
            switch relocation.type {
            case .globalData, .jumpSlot:
                let slot = Slot(
                    address: address, version: relocation.version, isJumpSlot: relocation.type == .jumpSlot)
                slotsByName[relocation.symbol, default: []].append(slot)
            case .relative where tables.contains { $0.addresses.contains(address) }:
                localSlots[relocation.addend, default: []].append(address)
            default:
                break
            }
        }
        for section in shipped.sections where section.isCode && section.name.hasPrefix(".plt") {
            var offset = 0
            while offset + 6 <= section.size {
                if let stub = Self.stub(at: section.address + offset, in: shipped) {
                    stubs[stub.address] = stub
                    if !stub.symbol.isEmpty { stubsByName[stub.symbol, default: []].append(stub) }
                }
                // Stubs have 8 or 16 bytes (.plt.got, the others).
                offset += 8
            }
        }
    }

    /// Decodes `[endbr64] [bnd] jmp *slot(%rip)`.
    private static func stub(at address: Int, in shipped: ShippedBinary) -> Stub? {
        guard let code = shipped.contents(address, count: 6) else { return nil }
        var position = address
        if code.starts(with: [0xf3, 0x0f, 0x1e, 0xfa]) { position += 4 }
        if shipped.contents(position, count: 1)?.first == 0xf2 { position += 1 }
        guard shipped.contents(position, count: 2)?.elementsEqual([0xff, 0x25]) ?? false,
            let displacement = shipped.signed32(position + 2)
        else { return nil }
        let slot = position + 6 + displacement
        guard let relocation = shipped.dynamicRelocations[slot] else { return nil }
        switch relocation.type {
        case .jumpSlot, .globalData:
            return Stub(address: address, slot: slot, symbol: relocation.symbol, version: relocation.version)
        case .indirectRelative:
            return Stub(address: address, slot: slot, symbol: "", version: "")
        default:
            return nil
        }
    }
}
