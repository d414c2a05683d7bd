//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import CZydis

/// Names the shape of a prologue: its instructions with the kinds of their operands, without registers,
/// constants and displacements.
///
/// `push r64; mov r64, rsp; sub rsp, imm8`: two prologues have one shape when each instruction has the same
/// prefixes and mnemonic, and each operand the same kind. Kinds are: a class of registers with its width (the
/// stack pointer is one of its own), a constant with its width, a branch with the width of its displacement, and
/// memory with its width, segment, and whether it has a base, an index and a displacement of 8 or 32 bits, or
/// counts from rip.
struct PrologueShape {
    private var decoder = ZydisDecoder()
    private var operands = [ZydisDecodedOperand](repeating: ZydisDecodedOperand(), count: 10)
    private var instruction = ZydisDecodedInstruction()

    init() {
        ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)
    }

    /// The shape of the instructions in these bytes, all of them whole.
    mutating func name(of bytes: ArraySlice<UInt8>) -> String {
        var parts: [String] = []
        var rest = bytes
        while !rest.isEmpty {
            let status = rest.withUnsafeBytes { buffer in
                ZydisDecoderDecodeFull(&decoder, buffer.baseAddress, buffer.count, &instruction, &operands)
            }
            guard status & 0x8000_0000 == 0 else { return parts.joined(separator: "; ") + "; (bad)" }
            parts.append(text())
            rest = rest.dropFirst(Int(instruction.length))
        }
        return parts.joined(separator: "; ")
    }

    private func text() -> String {
        var text = ""
        let prefixes: [(ZyanU64, String)] = [
            (ZYDIS_ATTRIB_HAS_LOCK, "lock "), (ZYDIS_ATTRIB_HAS_REP, "rep "), (ZYDIS_ATTRIB_HAS_REPNE, "repne "),
            (ZYDIS_ATTRIB_HAS_BND, "bnd "), (ZYDIS_ATTRIB_HAS_NOTRACK, "notrack "),
        ]
        for (attribute, name) in prefixes where instruction.attributes & attribute != 0 { text += name }
        text += ZydisMnemonicGetString(instruction.mnemonic).map { String(cString: $0) } ?? "?"
        if instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX { text = "evex " + text }
        var kinds: [String] = []
        for operand in operands.prefix(Int(instruction.operand_count_visible)) { kinds.append(kind(operand)) }
        return kinds.isEmpty ? text : text + " " + kinds.joined(separator: ", ")
    }

    private func kind(_ operand: ZydisDecodedOperand) -> String {
        switch operand.type {
        case ZYDIS_OPERAND_TYPE_REGISTER:
            let register = operand.reg.value
            if register == ZYDIS_REGISTER_RSP { return "rsp" }
            return switch ZydisRegisterGetClass(register) {
            case ZYDIS_REGCLASS_XMM: "xmm"
            case ZYDIS_REGCLASS_YMM: "ymm"
            case ZYDIS_REGCLASS_ZMM: "zmm"
            case ZYDIS_REGCLASS_MASK: "k"
            case ZYDIS_REGCLASS_MMX: "mm"
            case ZYDIS_REGCLASS_X87: "st"
            default: "r\(operand.size)"
            }
        case ZYDIS_OPERAND_TYPE_IMMEDIATE:
            return (operand.imm.is_relative != 0 ? "rel" : "imm") + "\(instruction.raw.imm.0.size)"
        case ZYDIS_OPERAND_TYPE_MEMORY:
            var parts: [String] = []
            switch operand.mem.base {
            case ZYDIS_REGISTER_NONE: break
            case ZYDIS_REGISTER_RIP: parts.append("rip")
            case ZYDIS_REGISTER_RSP: parts.append("rsp")
            default: parts.append("base")
            }
            if operand.mem.index != ZYDIS_REGISTER_NONE { parts.append("index") }
            if instruction.raw.disp.size != 0 { parts.append("disp\(instruction.raw.disp.size)") }
            let segment =
                switch operand.mem.segment {
                case ZYDIS_REGISTER_FS: "fs:"
                case ZYDIS_REGISTER_GS: "gs:"
                default: ""
                }
            return "m\(operand.size)\(segment)[\(parts.joined(separator: "+"))]"
        default:
            return "ptr"
        }
    }
}
