//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF
internal import Unwinding

/// A rebuilt object that the fix changes, with what is looked up in it again and again.
struct RebuiltUnit: Sendable {
    /// Index of the object among all that were given, which is its index in the placement.
    let index: Int
    let name: String
    let plain: ObjectFile
    let diff: ObjectDiff
    /// Symbols of the plain object by name; -1 for a name that several have.
    let plainSymbols: [String: Int]
    /// Unwind rules after the fix, and for each section of code there the FDE of its function.
    let frames: FrameTable?
    let functionRanges: [[FunctionRange]]
    /// Sections after the fix that are parts of a changed function, with the number of that function.
    let changedSections: [Int: Int]
    /// Sections after the fix that are parts of an added function, with the number of that function.
    let addedSections: [Int: Int]
    /// Where the shipped binary holds strings that the object uses, by their bytes.
    let literals: [[UInt8]: Int]
    /// Thread-local variables that changed functions reached by a call before the fix.
    let dynamicAccesses: Set<String>

    init(
        index: Int, plain: ObjectFile, diff: ObjectDiff, placement: Placement, shipped: ShippedBinary
    ) throws(PatchBuildingError) {
        self.index = index
        self.name = plain.name
        self.plain = plain
        self.diff = diff
        var symbols: [String: Int] = [:]
        for (number, symbol) in plain.symbols.enumerated()
        where symbol.section != nil && symbol.type != .section && !symbol.name.isEmpty {
            symbols[symbol.name] = symbols[symbol.name] == nil ? number : -1
        }
        plainSymbols = symbols
        frames = try diff.post.object.frameTable()?.table
        functionRanges = try diff.post.object.functionRanges()
        var changed: [Int: Int] = [:]
        for (number, function) in diff.changed.enumerated() {
            for section in function.post { changed[section] = number }
        }
        changedSections = changed
        var added: [Int: Int] = [:]
        for (number, function) in diff.added.enumerated() {
            for section in function.post { added[section] = number }
        }
        addedSections = added
        dynamicAccesses = Self.dynamicAccesses(diff)
        literals = Self.literals(plain, bases: placement.knowledge.bases[index], shipped: shipped)
    }

    /// The strings of the plain object, where its placed code refers to them.
    private static func literals(
        _ plain: ObjectFile, bases: [Int?], shipped: ShippedBinary
    ) -> [[UInt8]: Int] {
        var result: [[UInt8]: Int] = [:]
        for (index, section) in plain.sections.enumerated() where section.isCode {
            guard let base = bases[index] else { continue }
            for relocation in section.relocations where relocation.type == .pc32 {
                let symbol = plain.symbols[relocation.symbol]
                guard let target = symbol.section, symbol.type != .section,
                    plain.sections[target].flags.contains([.merge, .strings]),
                    let literal = plain.literal(section: target, offset: symbol.value),
                    let field = shipped.signed32(base + relocation.offset)
                else { continue }
                let address = field &- relocation.addend &+ base &+ relocation.offset
                let bytes = [UInt8](literal.bytes)
                guard shipped.contents(address, count: bytes.count)?.elementsEqual(bytes) ?? false else { continue }
                result[bytes] = address
            }
        }
        return result
    }

    /// The target-relative address of a function or datum before the fix, or nil where it is not known.
    func address(ofPreSection section: Int, placement: Placement, shipped: ShippedBinary) -> Int? {
        guard let item = diff.pre.items[section] else { return nil }
        for number in item.symbols {
            let symbol = diff.pre.object.symbols[number]
            if let plainNumber = plainSymbols[symbol.name], plainNumber >= 0,
                let address = placement.address(ofSymbol: plainNumber, in: index)
            {
                return address &- symbol.value
            }
            guard !symbol.isLocal else { continue }
            if let value = placement.global(symbol.baseName)?.value { return value &- symbol.value }
            if let exports = shipped.exports[symbol.baseName], exports.count == 1 {
                return exports[0].address &- symbol.value
            }
        }
        return nil
    }

    /// Whether the 32-bit field of a relocation belongs to a call or jump (`E8`, `E9`, `0F 8x`).
    static func isBranch(_ relocation: ObjectRelocation, in section: Int, of object: ObjectFile) -> Bool {
        let contents = object.contents(section)
        guard relocation.type == .pc32 || relocation.type == .plt32, object.sections[section].isCode,
            relocation.offset >= 1
        else { return false }
        let position = contents.startIndex + relocation.offset
        let opcode = contents[position - 1]
        if opcode == 0xe8 || opcode == 0xe9 { return true }
        return relocation.offset >= 2 && contents[position - 2] == 0x0f && opcode & 0xf0 == 0x80
    }
}
