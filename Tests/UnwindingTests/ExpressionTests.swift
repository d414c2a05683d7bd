//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Testing
import Unwinding

/// Values of expressions, by the examples and definitions of DWARF 5, section 2.5.1, and of the PLT's rules.
@Suite("Expressions")
struct ExpressionTests {
    struct Words: MemoryReader {
        func load(_ address: UInt64, count: Int) -> UInt64? {
            // 8 bytes at 0x1000: 88 77 66 55 44 33 22 11
            guard address == 0x1000 else { return nil }
            return 0x1122_3344_5566_7788 & (count == 8 ? .max : (1 << UInt64(8 * count)) - 1)
        }
    }

    struct One: FrameTableProvider {
        var table: FrameTable
        func table(containing address: UInt64) -> LocatedFrameTable? { LocatedFrameTable(table: table, bias: 0) }
    }

    /// The CFA that an expression gives, by a function whose CFA is the expression.
    private func value(_ operations: [UInt8]) -> UInt64? {
        let common: [UInt8] = [16, 0, 0, 0, 0, 0, 0, 0, 1, 0x7A, 0x52, 0, 1, 0x78, 16, 1, 0x04, 0x07, 16, 0]
        let contents: [UInt8] =
            [24, 0, 0, 0] + [0, 0x10, 0, 0, 0, 0, 0, 0] + [0, 1, 0, 0, 0, 0, 0, 0]
            + [0, 0x0F, UInt8(operations.count)] + operations
        let section = common + [UInt8(contents.count), 0, 0, 0] + contents + [0, 0, 0, 0]
        guard let table = try? FrameTable(section: section, address: 0x10_0000) else { return nil }
        var registers = RegisterValues()
        registers[.rip] = 0x1005
        registers[.rsp] = 0x7000
        registers[.rbx] = 0x1000
        var unwinder = Unwinder(memory: Words(), tables: One(table: table))
        return try? unwinder.step(registers, isReturnAddress: false).canonicalFrameAddress
    }

    @Test(
        arguments: [
            ([0x77, 8], 0x7008), ([0x77, 0x78], 0x6FF8), ([0x92, 7, 16], 0x7010),
            ([0x73, 0, 0x06], 0x1122_3344_5566_7788), ([0x73, 0, 0x94, 2], 0x7788),
            ([0x03, 1, 2, 3, 4, 5, 6, 7, 8], 0x0807_0605_0403_0201), ([0x08, 0xFF], 0xFF), ([0x09, 0xFF], .max),
            ([0x0A, 1, 0x80], 0x8001), ([0x0B, 1, 0x80], 0xFFFF_FFFF_FFFF_8001), ([0x0C, 1, 0, 0, 0x80], 0x8000_0001),
            ([0x0D, 0, 0, 0, 0x80], 0xFFFF_FFFF_8000_0000), ([0x10, 0x80, 0x01], 128), ([0x11, 0x7F], .max),
            ([0x35, 0x12, 0x22], 10), ([0x31, 0x32, 0x13], 1), ([0x31, 0x32, 0x14], 1), ([0x31, 0x32, 0x15, 1], 1),
            ([0x31, 0x32, 0x16], 1), ([0x31, 0x32, 0x33, 0x17], 2), ([0x09, 0xFD, 0x19], 3),
            ([0x3F, 0x36, 0x1A], 6), ([0x09, 0xF7, 0x32, 0x1B], 0xFFFF_FFFF_FFFF_FFFC), ([0x35, 0x32, 0x1C], 3),
            ([0x37, 0x33, 0x1D], 1), ([0x35, 0x33, 0x1E], 15), ([0x31, 0x1F], .max), ([0x30, 0x20], .max),
            ([0x35, 0x32, 0x21], 7), ([0x35, 0x23, 0x80, 0x01], 133), ([0x31, 0x3F, 0x24], 0x8000),
            ([0x3F, 0x31, 0x25], 7), ([0x09, 0xF0, 0x32, 0x26], 0xFFFF_FFFF_FFFF_FFFC), ([0x35, 0x31, 0x27], 4),
            ([0x31, 0x31, 0x29], 1), ([0x09, 0xFF, 0x31, 0x2A], 0), ([0x32, 0x31, 0x2B], 1),
            ([0x09, 0xFF, 0x31, 0x2C], 1), ([0x32, 0x31, 0x2D], 0), ([0x32, 0x31, 0x2E], 1),
            ([0x31, 0x32, 0x31, 0x28, 1, 0, 0x35], 2), ([0x31, 0x32, 0x30, 0x28, 1, 0, 0x35], 5),
            ([0x31, 0x2F, 1, 0, 0x35, 0x96], 1),
            // The rule of a PLT entry: rsp + 8 + (((rip & 15) >= 11) << 3), at an offset of 5 and of 11.
            ([0x77, 8, 0x80, 0, 0x3F, 0x1A, 0x3B, 0x2A, 0x33, 0x24, 0x22], 0x7008),
            ([0x77, 8, 0x80, 6, 0x3F, 0x1A, 0x3B, 0x2A, 0x33, 0x24, 0x22], 0x7010),
        ] as [([UInt8], UInt64)])
    func operation(operations: [UInt8], expected: UInt64) {
        #expect(value(operations) == expected)
    }

    @Test(
        arguments: [
            [], [0x12], [0x31, 0x30, 0x1B], [0x31, 0x30, 0x1D], [0x2F, 0xFD, 0xFF], [0x2F, 0x10, 0], [0x31, 0x28],
            [0x30, 0x06], [0x72, 0], [0x92, 17, 0], [0x9C], [0x50], [0x15, 0], [0x94, 9],
            [0x31, 0x12, 0x2F, 0xFC, 0xFF],
        ] as [[UInt8]])
    func refused(operations: [UInt8]) {
        #expect(value(operations) == nil)
    }
}
