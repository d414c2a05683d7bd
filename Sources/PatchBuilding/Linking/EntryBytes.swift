//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import LivePatch

/// What an entry covers of an old function as it is shipped.
struct EntryBytes {
    /// Bytes at the function's start that stay: `endbr64`, which an indirect branch must find there where the
    /// processor tracks them (Intel SDM volume 1, section 17.3). The jump is written behind it.
    let skipped: Int
    /// The function's bytes behind those; for one that is shorter than a jump, with as much of the padding behind
    /// it as a jump takes.
    let bytes: [UInt8]

    /// `endbr64`.
    static let indirectBranchTarget: [UInt8] = [0xf3, 0x0f, 0x1e, 0xfa]

    /// Reads a function; nil where the target does not have its bytes.
    init?(_ function: FunctionRange, in shipped: ShippedBinary) {
        guard let contents = shipped.contents(function.start, count: function.size).map({ [UInt8]($0) }) else {
            return nil
        }
        skipped = contents.starts(with: Self.indirectBranchTarget) ? Self.indirectBranchTarget.count : 0
        var bytes = [UInt8](contents.dropFirst(skipped))
        var end = function.start + function.size
        while bytes.count < Entry.overwrittenSize, let padding = Self.padding(at: end, in: shipped) {
            bytes += padding
            end += padding.count
        }
        self.bytes = bytes
    }

    /// The instruction of padding at an address, where it is that for certain: an instruction that assemblers and
    /// linkers fill space with, up to the place that the next function would be aligned to, and nothing begins in it.
    private static func padding(at address: Int, in shipped: ShippedBinary) -> [UInt8]? {
        guard address % 16 != 0, let section = shipped.section(containing: address), section.isCode else { return nil }
        let available = min(16 - address % 16, section.address + section.size - address)
        guard let contents = shipped.contents(address, count: available) else { return nil }
        let length = noOperation(contents)
        guard length > 0 else { return nil }
        let range = address..<(address + length)
        guard !range.contains(where: { shipped.functionsByStart[$0] != nil }),
            shipped.relocations(in: range).isEmpty,
            !shipped.exports.values.contains(where: { $0.contains { range.contains($0.address) } })
        else { return nil }
        return [UInt8](contents.prefix(length))
    }

    /// Length of the instruction that the bytes begin with, if it does nothing: `nop` with prefixes, its long form
    /// (Intel SDM volume 2, NOP), or `int3`. 0 if it is another one or goes on beyond the bytes.
    static func noOperation(_ bytes: ArraySlice<UInt8>) -> Int {
        var rest = bytes
        while let prefix = rest.first, prefix == 0x66 || prefix == 0x2e { rest.removeFirst() }
        let prefixes = bytes.count - rest.count
        switch rest.first {
        case 0x90: return prefixes + 1
        case 0xcc: return prefixes == 0 ? 1 : 0
        case 0x0f:
            let operands = [UInt8](rest.prefix(3))
            // 0F 1F /0 with a memory operand.
            guard operands.count == 3, operands[1] == 0x1f, operands[2] & 0x38 == 0, operands[2] < 0xc0 else {
                return 0
            }
            let hasSIB = operands[2] & 7 == 4
            let displacement =
                switch operands[2] >> 6 {
                case 0: operands[2] & 7 == 5 ? 4 : 0
                case 1: 1
                default: 4
                }
            let length = prefixes + 3 + (hasSIB ? 1 : 0) + displacement
            return length <= bytes.count ? length : 0
        default: return 0
        }
    }
}
