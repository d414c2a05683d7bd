//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// One call frame instruction, decoded (DWARF 5, section 7.24; GNU extensions of LSB Core, section 10.4.2).
enum CallFrameInstruction: Equatable {
    /// Distance in bytes.
    case advance(UInt64)
    case setLocation
    case defineAddress(FrameRules.CanonicalFrameAddress)
    case defineAddressRegister(UInt8)
    case defineAddressOffset(Int64)
    case set(Int, FrameRules.Register)
    case restore(Int)
    case rememberState
    case restoreState
    case nop

    /// Reads one instruction; never consumes nothing.
    init(_ cursor: inout ByteCursor, common: CommonInformation) throws(UnwindError) {
        let offset = cursor.position
        let opcode = try cursor.byte()
        let operand = opcode & 0x3F
        switch opcode & 0xC0 {
        case 0x40: self = .advance(try Self.distance(UInt64(operand), common, offset))
        case 0x80: self = .set(Int(operand), .offset(try Self.factored(try cursor.uleb128(), common, offset)))
        case 0xC0: self = .restore(Int(operand))
        default: self = try Self.extended(opcode, &cursor, common, offset)
        }
    }

    private static func extended(
        _ opcode: UInt8, _ cursor: inout ByteCursor, _ common: CommonInformation, _ offset: Int
    ) throws(UnwindError) -> CallFrameInstruction {
        switch opcode {
        case 0x00: return .nop
        case 0x01:
            _ = try common.addressEncoding.rawValue(&cursor)
            return .setLocation
        case 0x02: return .advance(try distance(try cursor.unsigned(1), common, offset))
        case 0x03: return .advance(try distance(try cursor.unsigned(2), common, offset))
        case 0x04: return .advance(try distance(try cursor.unsigned(4), common, offset))
        case 0x0A: return .rememberState
        case 0x0B: return .restoreState
        case 0x0C:
            return .defineAddress(.register(try core(&cursor), try positive(try cursor.uleb128(), offset)))
        case 0x0D: return .defineAddressRegister(try core(&cursor))
        case 0x0E: return .defineAddressOffset(try positive(try cursor.uleb128(), offset))
        case 0x0F: return .defineAddress(.expression(FrameRules.Expression(try cursor.block())))
        case 0x12:
            let register = try core(&cursor)
            return .defineAddress(.register(register, try factored(try cursor.sleb128(), common, offset)))
        case 0x13: return .defineAddressOffset(try factored(try cursor.sleb128(), common, offset))
        case 0x2E:  // DW_CFA_GNU_args_size: for landing pads, no matter here
            _ = try cursor.uleb128()
            return .nop
        default: return try registerRule(opcode, &cursor, common, offset)
        }
    }

    /// The instructions whose first operand is the register that they set.
    private static func registerRule(
        _ opcode: UInt8, _ cursor: inout ByteCursor, _ common: CommonInformation, _ offset: Int
    ) throws(UnwindError) -> CallFrameInstruction {
        guard [0x05, 0x06, 0x07, 0x08, 0x09, 0x10, 0x11, 0x14, 0x15, 0x16, 0x2F].contains(opcode) else {
            // Among them DW_CFA_GNU_window_save (2D), which is another architecture's.
            throw UnwindError(.unsupportedInstruction, "A call frame instruction is not understood.", at: offset)
        }
        let register = try column(&cursor)
        switch opcode {
        case 0x05: return .set(register, .offset(try factored(try cursor.uleb128(), common, offset)))
        case 0x06: return .restore(register)
        case 0x07: return .set(register, .undefined)
        case 0x08: return .set(register, .sameValue)
        case 0x09: return .set(register, .register(try core(&cursor)))
        case 0x10: return .set(register, .expression(FrameRules.Expression(try cursor.block())))
        case 0x11: return .set(register, .offset(try factored(try cursor.sleb128(), common, offset)))
        case 0x14: return .set(register, .valueOffset(try factored(try cursor.uleb128(), common, offset)))
        case 0x15: return .set(register, .valueOffset(try factored(try cursor.sleb128(), common, offset)))
        case 0x16: return .set(register, .valueExpression(FrameRules.Expression(try cursor.block())))
        default:  // 2F, DW_CFA_GNU_negative_offset_extended
            let value = try factored(try cursor.uleb128(), common, offset)
            return .set(register, .offset(0 &- value))
        }
    }

    /// Any column; those that are not tracked are parsed and ignored.
    private static func column(_ cursor: inout ByteCursor) throws(UnwindError) -> Int {
        let offset = cursor.position
        guard let number = Int(exactly: try cursor.uleb128()) else {
            throw UnwindError(.malformed, "A register number is too large.", at: offset)
        }
        return number
    }

    /// A register whose contents are needed.
    private static func core(_ cursor: inout ByteCursor) throws(UnwindError) -> UInt8 {
        let offset = cursor.position
        let number = try cursor.uleb128()
        guard number < 17 else {
            throw UnwindError(.unknownRegister, "The rules refer to a register that is not tracked.", at: offset)
        }
        return UInt8(number)
    }

    private static func distance(
        _ count: UInt64, _ common: CommonInformation, _ offset: Int
    ) throws(UnwindError) -> UInt64 {
        let (value, overflow) = count.multipliedReportingOverflow(by: common.codeAlignment)
        guard !overflow else { throw UnwindError(.malformed, "An advance is too large.", at: offset) }
        return value
    }

    private static func positive(_ value: UInt64, _ offset: Int) throws(UnwindError) -> Int64 {
        guard let value = Int64(exactly: value) else {
            throw UnwindError(.malformed, "An offset is too large.", at: offset)
        }
        return value
    }

    private static func factored(
        _ count: UInt64, _ common: CommonInformation, _ offset: Int
    ) throws(UnwindError) -> Int64 {
        try factored(try positive(count, offset), common, offset)
    }

    private static func factored(
        _ count: Int64, _ common: CommonInformation, _ offset: Int
    ) throws(UnwindError) -> Int64 {
        let (value, overflow) = count.multipliedReportingOverflow(by: common.dataAlignment)
        guard !overflow else { throw UnwindError(.malformed, "An offset is too large.", at: offset) }
        return value
    }
}
