//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import CZydis
internal import MachineCode

/// Decodes x86-64 code with Zydis, as far as moving and overwriting it needs.
struct InstructionDecoder {
    /// A decoded function.
    struct Function {
        /// Its instructions in order.
        var shapes: [InstructionShape] = []
        /// Where its jumps lead (not its calls), as addresses.
        var jumps: [UInt64] = []
        /// Offsets that its calls return to.
        var returns: [Int] = []
        /// Offset of a byte that is no instruction, or nil if all are.
        var undecodable: Int?
    }

    private var decoder = ZydisDecoder()

    init() {
        ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)
    }

    /// Decodes all bytes from the first to the last.
    mutating func decode(_ bytes: [UInt8], at address: UInt64) -> Function {
        var function = Function()
        var instruction = ZydisDecodedInstruction()
        // Whole libraries are decoded in tests: the buffer is taken once, and the large struct is used again.
        bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            var offset = 0
            while offset < buffer.count {
                let status = ZydisDecoderDecodeInstruction(
                    &decoder, nil, base + offset, buffer.count - offset, &instruction)
                // ZYAN_SUCCESS: the top bit tells a failure.
                guard status & 0x8000_0000 == 0, instruction.length > 0 else {
                    function.undecodable = offset
                    return
                }
                function.shapes.append(InstructionShape(length: instruction.length, field: Self.field(instruction)))
                offset += Int(instruction.length)
                if instruction.mnemonic == ZYDIS_MNEMONIC_CALL {
                    function.returns.append(offset)
                } else if instruction.raw.imm.0.is_relative != 0 {
                    let end = address &+ UInt64(offset)
                    function.jumps.append(end &+ UInt64(bitPattern: instruction.raw.imm.0.value.s))
                }
            }
        }
        return function
    }

    private static func field(_ instruction: ZydisDecodedInstruction) -> InstructionShape.Field {
        if instruction.raw.imm.0.is_relative != 0 {
            guard let kind = branchKind(instruction.mnemonic) else {
                return instruction.meta.category == ZYDIS_CATEGORY_COND_BR
                    ? branch(instruction, .conditional) : .unsupported
            }
            return branch(instruction, kind)
        }
        if instruction.mnemonic == ZYDIS_MNEMONIC_CALL { return .indirectCall }
        guard instruction.attributes & ZYDIS_ATTRIB_IS_RELATIVE != 0 else { return .none }
        // [rip + displacement]: ModRM.mod 0, rm 5 (Intel SDM volume 2, section 2.2.1.6). With a shorter
        // address size it is eip, which nothing emits.
        guard instruction.raw.modrm.mod == 0, instruction.raw.modrm.rm == 5, instruction.raw.disp.size == 32,
            instruction.address_width == 64
        else { return .unsupported }
        return .ripRelative(displacementOffset: instruction.raw.disp.offset)
    }

    private static func branch(
        _ instruction: ZydisDecodedInstruction, _ kind: InstructionShape.BranchKind
    ) -> InstructionShape.Field {
        // With this prefix and no REX.W a near branch has 16 bits of displacement on processors of AMD and 32
        // on those of Intel (AMD64 APM volume 3 and Intel SDM volume 2, JMP): not even the length is the same.
        if instruction.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE != 0, instruction.raw.rex.W == 0 {
            return .unsupported
        }
        return switch instruction.raw.imm.0.size {
        case 8: .relativeBranch8(kind)
        case 32: .relativeBranch32(kind)
        default: .unsupported
        }
    }

    private static func branchKind(_ mnemonic: ZydisMnemonic) -> InstructionShape.BranchKind? {
        switch mnemonic {
        case ZYDIS_MNEMONIC_JMP: .jump
        case ZYDIS_MNEMONIC_CALL: .call
        case ZYDIS_MNEMONIC_LOOP, ZYDIS_MNEMONIC_LOOPE, ZYDIS_MNEMONIC_LOOPNE, ZYDIS_MNEMONIC_JRCXZ,
            ZYDIS_MNEMONIC_JECXZ, ZYDIS_MNEMONIC_JCXZ:
            .loop
        default: nil
        }
    }
}
