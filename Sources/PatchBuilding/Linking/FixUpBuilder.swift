//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF
internal import LivePatch

/// Finds the places and addresses that fix-ups name, and holds against the shipped binary what they expect there.
struct FixUpBuilder {
    /// A fix-up whose names are resolved.
    struct Draft {
        let request: RequestedFixUp
        let address: Int
        let from: FixUp.Value
        /// Nil where it is the address of a piece.
        let to: FixUp.Value?
        /// The piece; nil where the value is known already.
        let piece: Int?
    }

    /// Something that has a name.
    private struct Named: Hashable {
        let address: Int
        /// Size in bytes; nil where it is not known.
        let size: Int?
        let isCode: Bool
        /// Whether the program never writes it.
        let isConstant: Bool
    }

    /// A function that only the patch has.
    private struct Added: Hashable {
        let unit: Int
        let section: Int
    }

    let shipped: ShippedBinary
    let placement: Placement
    let units: [RebuiltUnit]

    /// Resolves a fix-up.
    ///
    /// - Parameters:
    ///   - request: what the author asks for.
    ///   - linker: makes the piece of a new function.
    /// - Throws: `PatchBuildingError` with `unusableFixup`.
    func draft(_ request: RequestedFixUp, linker: inout Linker) throws(PatchBuildingError) -> Draft {
        let datum = try only(named(request.symbol), request.symbol, request)
        guard !datum.isCode else { throw request.fault("it is a function, and code is not set as data") }
        let size = request.size.count
        let (address, overflow) = datum.address.addingReportingOverflow(request.offset)
        let (end, endOverflow) = request.offset.addingReportingOverflow(size)
        guard request.offset >= 0, !overflow, !endOverflow, end <= datum.size ?? end else {
            throw request.fault("\(size) bytes at \(request.offset) are not inside of its \(datum.size ?? 0)")
        }
        guard address % size == 0 else { throw request.fault("it is not aligned to its \(size) bytes") }
        guard let section = shipped.section(containing: address), !section.isCode,
            address + size <= section.addresses.upperBound
        else { throw request.fault("it does not lie among the data of the shipped binary") }
        guard case .known(let from) = try value(request.from, request, allowsNew: false) else {
            throw request.fault("what is there before cannot be new")
        }
        if datum.isConstant { try check(from, at: address, of: request) }
        switch try value(request.to, request, allowsNew: true) {
        case .known(let to):
            guard from != to else { throw request.fault("it changes nothing") }
            return Draft(request: request, address: address, from: from, to: to, piece: nil)
        case .added(let added):
            let piece = linker.piece(unit: added.unit, section: added.section)
            return Draft(request: request, address: address, from: from, to: nil, piece: piece)
        }
    }

    // MARK: - Values

    private enum Resolved {
        case known(FixUp.Value)
        case added(Added)
    }

    private func value(
        _ value: RequestedFixUp.Value, _ request: RequestedFixUp, allowsNew: Bool
    ) throws(PatchBuildingError) -> Resolved {
        switch value {
        case .number(let number):
            guard request.size.holds(number) else {
                throw request.fault("0x\(String(number, radix: 16)) needs more than \(request.size.count) bytes")
            }
            return .known(.number(number))
        case .address(let symbol, let offset):
            guard request.size == .eight else { throw request.fault("an address has 8 bytes") }
            let known = named(symbol)
            let new = allowsNew ? added(symbol) : []
            if known.isEmpty, let function = new.first, new.count == 1 {
                guard offset == 0 else { throw request.fault("\(symbol) is a function: it has no offsets") }
                return .added(function)
            }
            guard new.isEmpty else { throw request.fault("several functions have the name \(symbol)") }
            let named = try only(known, symbol, request)
            guard offset == 0 || !named.isCode && (0...(named.size ?? 0)).contains(offset) else {
                throw request.fault("\(symbol) has no offset \(offset)")
            }
            return .known(.address(.target(UInt64(named.address + offset))))
        }
    }

    /// What a constant holds is known: in the file, or by what the dynamic linker writes there.
    private func check(
        _ from: FixUp.Value, at address: Int, of request: RequestedFixUp
    ) throws(PatchBuildingError) {
        let size = request.size.count
        let written = shipped.relocations(in: address..<(address + size))
        let expected: UInt64
        switch from {
        case .number(let number):
            guard written.isEmpty else { throw request.fault("it holds an address, and 'from' is a number") }
            expected = number
        case .address(.image):
            throw request.fault("what is there before cannot be new")
        case .address(.target(let target)):
            if let relocation = shipped.dynamicRelocations[address] {
                // One that names a symbol leads where the process says: compared there.
                guard relocation.type == .relative else { return }
                guard UInt64(exactly: relocation.addend) == target else {
                    throw request.fault("it holds the address 0x\(String(relocation.addend, radix: 16)), not 'from'")
                }
                return
            }
            guard !shipped.isPositionIndependent, written.isEmpty else { throw request.fault("it holds no address") }
            expected = target
        }
        guard let bytes = shipped.contents(address, count: size) else { return }
        let value = bytes.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard value == expected else {
            throw request.fault("the shipped binary has 0x\(String(value, radix: 16)) there, not 'from'")
        }
    }

    // MARK: - Names

    private func only(
        _ found: Set<Named>, _ symbol: String, _ request: RequestedFixUp
    ) throws(PatchBuildingError) -> Named {
        guard let first = found.first else {
            throw request.fault(
                "no address is known for \(symbol): no code of the changed objects "
                    + "refers to it, it is not exported, and not the one table of its functions")
        }
        guard found.count == 1 else { throw request.fault("several functions or data have the name \(symbol)") }
        return first
    }

    /// What the target has under a name.
    private func named(_ symbol: String) -> Set<Named> {
        var found: Set<Named> = []
        for unit in units {
            let object = unit.diff.pre.object
            for case let item? in unit.diff.pre.items where item.kind != .threadLocal {
                for number in item.symbols where object.symbols[number].name == symbol {
                    let entry = object.symbols[number]
                    guard entry.type != .indirectFunction,
                        let start = unit.address(ofPreSection: item.section, placement: placement, shipped: shipped)
                            ?? TableSearch(shipped: shipped, placement: placement).address(of: item, in: unit)
                    else { continue }
                    found.insert(
                        Named(
                            address: start &+ entry.value, size: entry.size, isCode: item.kind == .code,
                            isConstant: item.kind == .constant || item.kind == .literal))
                }
            }
        }
        guard found.isEmpty else { return found }
        for export in shipped.exports[symbol] ?? [] where !export.isIndirect && !export.isThreadLocal {
            found.insert(
                Named(address: export.address, size: export.size, isCode: export.isFunction, isConstant: false))
        }
        if found.isEmpty, let address = placement.global(symbol)?.value {
            let isCode = shipped.section(containing: address)?.isCode ?? true
            found.insert(Named(address: address, size: nil, isCode: isCode, isConstant: false))
        }
        return found
    }

    private func added(_ symbol: String) -> Set<Added> {
        var found: Set<Added> = []
        for (number, unit) in units.enumerated() {
            let table = unit.diff.post
            for function in unit.diff.added {
                guard let section = function.post.first, let item = table.items[section],
                    item.symbols.contains(where: { table.object.symbols[$0].name == symbol })
                else { continue }
                found.insert(Added(unit: number, section: section))
            }
        }
        return found
    }
}
