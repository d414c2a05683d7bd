//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// What a seccomp filter says to one system call: the kernel's interpreter of classic BPF programs (linux/filter.h,
/// linux/seccomp.h; seccomp(2)) in small, for filters that were read with PTRACE_SECCOMP_GET_FILTER.
struct SeccompFilter {
    /// `struct seccomp_data`.
    struct Call {
        var number: UInt32
        /// AUDIT_ARCH_X86_64
        var architecture: UInt32 = 0xc000_003e
        var instructionPointer: UInt64
        var arguments: [UInt64]

        /// The 32-bit word at `offset`; nil outside of the 64 bytes or where the kernel refuses the offset.
        func word(at offset: UInt32) -> UInt32? {
            guard offset % 4 == 0 else { return nil }
            switch offset {
            case 0: return number
            case 4: return architecture
            case 8: return UInt32(truncatingIfNeeded: instructionPointer)
            case 12: return UInt32(truncatingIfNeeded: instructionPointer >> 32)
            case 16..<64:
                let index = Int(offset - 16) / 8
                let argument = index < arguments.count ? arguments[index] : 0
                return UInt32(truncatingIfNeeded: offset % 8 == 0 ? argument : argument >> 32)
            default: return nil
            }
        }
    }

    /// `struct sock_filter`.
    struct Instruction: Equatable {
        var code: UInt16
        var jumpTrue: UInt8
        var jumpFalse: UInt8
        var constant: UInt32
    }

    /// The program.
    var instructions: [Instruction]

    init(instructions: [Instruction]) {
        self.instructions = instructions
    }

    /// The program from the kernel's bytes, 8 each.
    init(_ bytes: [UInt8]) {
        instructions = stride(from: 0, to: bytes.count / 8 * 8, by: 8).map { start in
            let word = (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[start + $1]) << UInt64(8 * $1) }
            return Instruction(
                code: UInt16(truncatingIfNeeded: word), jumpTrue: UInt8(truncatingIfNeeded: word >> 16),
                jumpFalse: UInt8(truncatingIfNeeded: word >> 24), constant: UInt32(truncatingIfNeeded: word >> 32))
        }
    }

    /// Whether the call goes through as if there were no filter: SECCOMP_RET_ALLOW or SECCOMP_RET_LOG.
    func allows(_ call: Call) -> Bool {
        guard let action = action(for: call) else { return false }
        return action & 0xffff_0000 == 0x7fff_0000 || action & 0xffff_0000 == 0x7ffc_0000
    }

    /// The value that the program returns; nil if it does anything that the kernel's checks would not have let in.
    func action(for call: Call) -> UInt32? {
        var accumulator: UInt32 = 0
        var index: UInt32 = 0
        var scratch = [UInt32](repeating: 0, count: 16)
        var position = 0
        while position < instructions.count {
            let instruction = instructions[position]
            position += 1
            let constant = instruction.constant
            switch instruction.code & 0x07 {
            case 0x00:  // BPF_LD
                guard let value = load(instruction, call, scratch) else { return nil }
                accumulator = value
            case 0x01:  // BPF_LDX
                guard instruction.code & 0xe0 != 0x20, let value = load(instruction, call, scratch) else { return nil }
                index = value
            case 0x02, 0x03:  // BPF_ST, BPF_STX
                guard constant < 16 else { return nil }
                scratch[Int(constant)] = instruction.code & 0x07 == 0x02 ? accumulator : index
            case 0x04:  // BPF_ALU
                let operand = instruction.code & 0x08 != 0 ? index : constant
                guard let value = Self.arithmetic(instruction.code & 0xf0, accumulator, operand) else { return nil }
                accumulator = value
            case 0x05:  // BPF_JMP, forward only
                let operand = instruction.code & 0x08 != 0 ? index : constant
                guard let distance = Self.jump(instruction, accumulator, operand) else { return nil }
                position += distance
            case 0x06:  // BPF_RET of a constant or of the accumulator
                return instruction.code & 0x18 == 0x10 ? accumulator : constant
            default:  // BPF_MISC: TAX, TXA
                if instruction.code & 0xf8 == 0x80 { accumulator = index } else { index = accumulator }
            }
        }
        return nil
    }

    private func load(_ instruction: Instruction, _ call: Call, _ scratch: [UInt32]) -> UInt32? {
        switch instruction.code & 0xe0 {
        case 0x00: instruction.constant  // BPF_IMM
        case 0x20: call.word(at: instruction.constant)  // BPF_ABS
        case 0x60: instruction.constant < 16 ? scratch[Int(instruction.constant)] : nil  // BPF_MEM
        case 0x80: 64  // BPF_LEN: sizeof(struct seccomp_data)
        default: nil
        }
    }

    private static func arithmetic(_ operation: UInt16, _ left: UInt32, _ right: UInt32) -> UInt32? {
        switch operation {
        case 0x00: left &+ right
        case 0x10: left &- right
        case 0x20: left &* right
        case 0x30: right == 0 ? nil : left / right
        case 0x40: left | right
        case 0x50: left & right
        case 0x60: left &<< right
        case 0x70: left &>> right
        case 0x80: 0 &- left
        case 0xa0: left ^ right
        default: nil
        }
    }

    private static func jump(_ instruction: Instruction, _ left: UInt32, _ right: UInt32) -> Int? {
        let holds: Bool
        switch instruction.code & 0xf0 {
        case 0x00: return Int(instruction.constant)  // BPF_JA
        case 0x10: holds = left == right
        case 0x20: holds = left > right
        case 0x30: holds = left >= right
        case 0x40: holds = left & right != 0
        default: return nil
        }
        return Int(holds ? instruction.jumpTrue : instruction.jumpFalse)
    }
}
