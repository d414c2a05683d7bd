//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF

/// The thread-local variables of a shipped file: the template that every thread gets a copy of (`PT_TLS`).
struct ThreadLocalBlock: Sendable {
    /// Target-relative address of the template.
    let address: Int
    /// Bytes in memory.
    let size: Int
    /// A power of two.
    let alignment: Int

    /// Offsets that symbols have in the block. Linkers let `_TLS_MODULE_BASE_` be its aligned end in executables.
    var offsets: ClosedRange<Int> { 0...roundedSize }

    private var roundedSize: Int { (size + alignment - 1) / alignment * alignment }

    /// What is added to an offset in the block to make it one from the thread pointer, for an executable, whose
    /// block lies next to the thread pointer (Drepper, section 3, variant II).
    ///
    /// Nil where the template is not aligned as it asks for: then the distance depends on the dynamic linker.
    var pointerDistance: Int? {
        guard alignment > 0, address % alignment == 0 else { return nil }
        return -roundedSize
    }

    /// The template of a file; nil where it has none.
    static func read(_ image: borrowing ELFImage, limit: UInt64) throws(ELFError) -> ThreadLocalBlock? {
        let segments = try image.segments
        for index in 0..<segments.count {
            let segment = try segments[index]
            guard segment.type == .threadLocal else { continue }
            guard segment.address < limit, segment.memorySize < limit, segment.alignment < limit else {
                throw ELFError(.malformed, at: segment.offset, "a segment lies outside of the address space")
            }
            return ThreadLocalBlock(
                address: Int(segment.address), size: Int(segment.memorySize),
                alignment: max(1, Int(segment.alignment)))
        }
        return nil
    }
}

/// GOT slots through which a shipped file reaches thread-local variables, named by the dynamic relocations
/// (psABI x86-64, table 4.9).
struct ThreadLocalSlots: Sendable {
    /// What a slot, or a pair of slots, holds.
    enum Kind: Sendable, Hashable {
        /// Module and offset in its block, for `__tls_get_addr` (`DTPMOD64`, `DTPOFF64`).
        case pair
        /// Offset from the thread pointer (`TPOFF64`).
        case pointerOffset
        /// Function and argument (`TLSDESC`).
        case descriptor
    }

    /// Which variable a slot is for.
    enum Variable: Sendable, Hashable {
        /// The one that the dynamic linker finds by a name.
        case named(String)
        /// One of the file itself, by its offset in the block.
        case own(offset: Int)
    }

    /// A slot: what it holds, and for which variable.
    struct Slot: Sendable, Hashable {
        let kind: Kind
        let variable: Variable
    }

    /// Slots by address.
    private(set) var slots: [Int: Slot] = [:]
    /// Addresses of slots; the lowest where there are several, and none for a name of several versions.
    private(set) var addresses: [Slot: Int] = [:]

    /// Lists the slots of a file.
    init(_ shipped: ShippedBinary) {
        guard shipped.threadLocalBlock != nil || !shipped.relocatedAddresses.isEmpty else { return }
        var versions: [Slot: Set<String>] = [:]
        for address in shipped.relocatedAddresses {
            guard let relocation = shipped.dynamicRelocations[address],
                let slot = Self.slot(relocation, at: address, in: shipped)
            else { continue }
            slots[address] = slot
            if addresses[slot] == nil { addresses[slot] = address }
            versions[slot, default: []].insert(relocation.version)
        }
        for (slot, names) in versions where names.count > 1 { addresses[slot] = nil }
    }

    private static func slot(
        _ relocation: ShippedBinary.DynamicRelocation, at address: Int, in shipped: ShippedBinary
    ) -> Slot? {
        switch relocation.type {
        case .threadLocalModule:
            let second = shipped.dynamicRelocations[address + 8]
            guard relocation.symbol.isEmpty else {
                guard let second, second.type == .threadLocalOffset64, second.symbol == relocation.symbol,
                    second.addend == 0
                else { return nil }
                return Slot(kind: .pair, variable: .named(relocation.symbol))
            }
            // The offset of a variable of the file itself is in the file; 0 is also the start of the block.
            guard second == nil, let low = shipped.signed32(address + 8), let high = shipped.signed32(address + 12),
                high == 0, low >= 0
            else { return nil }
            return Slot(kind: .pair, variable: .own(offset: low))
        case .threadPointerOffset64: return slot(.pointerOffset, relocation)
        case .tlsDescriptor: return slot(.descriptor, relocation)
        default: return nil
        }
    }

    private static func slot(_ kind: Kind, _ relocation: ShippedBinary.DynamicRelocation) -> Slot? {
        if relocation.symbol.isEmpty { return Slot(kind: kind, variable: .own(offset: relocation.addend)) }
        return relocation.addend == 0 ? Slot(kind: kind, variable: .named(relocation.symbol)) : nil
    }
}
