//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF

/// A symbol of the patch file, derived from the patch.
struct FileSymbol {
    var name: String
    var place: Relocation.Destination
    var size: UInt64
    var type: SymbolType
}

extension Patch {
    /// The symbols of the file behind the section symbols, in order: for each entry its replacement, its gate
    /// and the old function; one for each destination of a relocation that no other symbol names; then
    /// `symbols`.
    var fileSymbols: [FileSymbol] {
        let named = entrySymbols
        let own = symbols.map {
            FileSymbol(name: $0.name, place: $0.place, size: $0.size, type: type(of: $0.place))
        }
        let known = Set((named + own).map { $0.place })
        return named + destinationSymbols(without: known) + own
    }

    /// Number of symbols that `entrySymbols` makes.
    var entrySymbolCount: Int { entries.reduce(0) { $0 + ($1.gate == nil ? 2 : 3) } }

    private var entrySymbols: [FileSymbol] {
        var result: [FileSymbol] = []
        for entry in entries {
            result.append(
                FileSymbol(
                    name: entry.name, place: .image(entry.replacement), size: UInt64(entry.replacementSize),
                    type: .function))
            if let gate = entry.gate {
                result.append(
                    FileSymbol(
                        name: entry.name + ".gate", place: .image(gate.offset), size: UInt64(gate.size), type: .function
                    ))
            }
            result.append(
                FileSymbol(
                    name: entry.name + ".old", place: .target(entry.address), size: UInt64(entry.expected.count),
                    type: .function))
        }
        return result
    }

    /// Destinations in the target by address, then those in the image by offset.
    private func destinationSymbols(without known: Set<Relocation.Destination>) -> [FileSymbol] {
        var addresses: Set<UInt64> = []
        var offsets: Set<UInt32> = []
        for relocation in image.relocations where !known.contains(relocation.destination) {
            switch relocation.destination {
            case .target(let address): addresses.insert(address)
            case .image(let offset): offsets.insert(offset)
            }
        }
        let prefix = PatchFormat.reservedPrefix
        return addresses.sorted().map {
            FileSymbol(name: "\(prefix)target.\(String($0, radix: 16))", place: .target($0), size: 0, type: .none)
        }
            + offsets.sorted().map {
                let slot = Int($0) == image.constantsOffset
                return FileSymbol(
                    name: slot ? prefix + "state" : "\(prefix)image.\(String($0, radix: 16))", place: .image($0),
                    size: 0, type: .none)
            }
    }

    private func type(of place: Relocation.Destination) -> SymbolType {
        guard case .image(let offset) = place else { return .none }
        switch image.part(at: offset) {
        case .code: return .function
        case .constants: return .object
        default: return .none
        }
    }

    /// Size of `.moult.target`: the smallest number of whole pages that holds everything of the target that the
    /// patch names.
    var targetExtent: UInt64 {
        var end: UInt64 = 0
        for entry in entries { end = max(end, entry.address + UInt64(entry.expected.count)) }
        for fixUp in fixUps {
            end = max(end, fixUp.address + UInt64(fixUp.size.count))
            for case .address(.target(let address)) in [fixUp.from, fixUp.to] { end = max(end, address + 1) }
        }
        for relocation in image.relocations {
            if case .target(let address) = relocation.destination { end = max(end, address + 1) }
        }
        for symbol in symbols {
            if case .target(let address) = symbol.place { end = max(end, address + max(1, symbol.size)) }
        }
        return (end + PatchFormat.pageSize - 1) / PatchFormat.pageSize * PatchFormat.pageSize
    }
}
