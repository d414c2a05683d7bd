//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A function's first instructions, rewritten so that they do the same at another place.
///
/// Instructions stay one for one and in order, so that a thread that stands between two of them has exactly
/// one place in the copy. (For the same reason `endbr64` is copied: at a place that no indirect branch
/// leads to it does nothing.)
package struct PrologueRelocation: Sendable, Equatable {
    /// The rewritten instructions; the requested fields are zero.
    package var bytes: [UInt8]
    /// Fields to fill in, by offset.
    package var requests: [FieldRequest]
    /// For each instruction its offset in the function and in `bytes`; the last pair is the end of both.
    package var places: [Place]
    /// Whether the function branches to its own first byte. Such a branch arrives in the replacement once
    /// the entry is a jump.
    package var branchesToEntry: Bool

    /// Where an instruction was and where its copy is.
    package struct Place: Sendable, Equatable {
        /// Offset from the function's first byte.
        package var original: Int
        /// Offset in the copy.
        package var relocated: Int

        /// Makes a pair.
        package init(original: Int, relocated: Int) {
            self.original = original
            self.relocated = relocated
        }
    }

    /// Size in bytes of what was copied: the function goes on there.
    package var originalSize: Int { places.last?.original ?? 0 }

    /// Rewrites the instructions that a jump over the entry destroys.
    ///
    /// - Parameters:
    ///   - function: the function's bytes from its first one on, at least as many as `shapes` cover.
    ///   - address: target-relative address of the first byte.
    ///   - shapes: the instructions in order. Those that cover the first `Jump.size` bytes are taken, the
    ///     rest is ignored.
    ///   - branchDestinations: target-relative destinations of all branches inside the function, jump
    ///     tables included.
    /// - Throws: `badShape` when the shapes do not fit the bytes, `notRelocatable` for an instruction that
    ///   cannot be moved, `branchIntoEntry` when a branch leads between the entry's first byte and the
    ///   end of the jump.
    package init(
        function: [UInt8], at address: UInt64, shapes: [InstructionShape], branchDestinations: [UInt64]
    ) throws(MachineCodeError) {
        bytes = []
        requests = []
        places = []
        branchesToEntry = false
        for destination in branchDestinations {
            try Self.check(destination, entry: address, branchesToEntry: &branchesToEntry)
        }
        var offset = 0
        for shape in shapes where offset < Jump.size {
            let length = Int(shape.length)
            guard (1...15).contains(length), length <= function.count - offset else {
                throw MachineCodeError(.badShape, "An instruction of the prologue ends outside of the function.")
            }
            places.append(Place(original: offset, relocated: bytes.count))
            let instruction = [UInt8](function[offset..<(offset + length)])
            try append(instruction, field: shape.field, at: address &+ UInt64(offset), entry: address)
            offset += length
        }
        guard offset >= Jump.size else {
            throw MachineCodeError(.badShape, "The instructions do not cover the bytes that a jump overwrites.")
        }
        places.append(Place(original: offset, relocated: bytes.count))
    }

    private static func check(
        _ destination: UInt64, entry: UInt64, branchesToEntry: inout Bool
    ) throws(MachineCodeError) {
        if destination == entry { branchesToEntry = true }
        // A branch into the middle of the jump would execute a part of it.
        guard destination <= entry || destination - entry >= UInt64(Jump.size) else {
            throw MachineCodeError(
                .branchIntoEntry, "A branch of the function leads into the bytes that the jump overwrites.")
        }
    }

    private mutating func append(
        _ instruction: [UInt8], field: InstructionShape.Field, at address: UInt64, entry: UInt64
    ) throws(MachineCodeError) {
        let end = address &+ UInt64(instruction.count)
        switch field {
        case .none:
            bytes += instruction
        case .ripRelative(let displacementOffset):
            let offset = Int(displacementOffset)
            guard offset > 0, let displacement = instruction.littleEndianInt32(at: offset) else {
                throw MachineCodeError(.badShape, "A displacement lies outside of its instruction.")
            }
            let destination = end &+ UInt64(bitPattern: Int64(displacement))
            // Data inside the bytes that the jump overwrites would read differently afterwards.
            guard destination < entry || destination - entry >= UInt64(Jump.size) else {
                throw MachineCodeError(.notRelocatable, "The prologue addresses its own bytes.")
            }
            copy(instruction, requesting: destination, at: offset)
        case .relativeBranch8(let kind):
            try widen(instruction, kind: kind, end: end, entry: entry)
        case .relativeBranch32(let kind):
            let offset = instruction.count - 4
            guard offset > 0, let displacement = instruction.littleEndianInt32(at: offset) else {
                throw MachineCodeError(.badShape, "A displacement lies outside of its instruction.")
            }
            try refuse(kind)
            let destination = end &+ UInt64(bitPattern: Int64(displacement))
            try Self.check(destination, entry: entry, branchesToEntry: &branchesToEntry)
            copy(instruction, requesting: destination, at: offset)
        case .indirectCall:
            try refuse(.call)
        case .unsupported:
            throw MachineCodeError(.notRelocatable, "The prologue holds an instruction that is not understood.")
        }
    }

    private func refuse(_ kind: InstructionShape.BranchKind) throws(MachineCodeError) {
        switch kind {
        case .jump, .conditional: return
        case .call:
            // Behind the jump the old place would still be whole, but the callee may ask who called it (dlsym,
            // a backtrace), and a return into the gate must not become the rule.
            throw MachineCodeError(
                .notRelocatable, "The prologue calls a function, which would see another return address.")
        case .loop:
            throw MachineCodeError(.notRelocatable, "The prologue holds a loop or jrcxz, which reach 127 bytes only.")
        }
    }

    /// Copies an instruction whose 32-bit field at `offset` gets a new displacement.
    private mutating func copy(_ instruction: [UInt8], requesting destination: UInt64, at offset: Int) {
        requests.append(
            FieldRequest(
                offset: bytes.count + offset, destination: .target(destination),
                addend: -Int64(instruction.count - offset)))
        bytes += instruction
        for index in 0..<4 { bytes[bytes.count - instruction.count + offset + index] = 0 }
    }

    /// Turns `jmp rel8` (EB) into E9, and `jcc rel8` (7x) into 0F 8x (Intel SDM volume 2, JMP and Jcc).
    private mutating func widen(
        _ instruction: [UInt8], kind: InstructionShape.BranchKind, end: UInt64, entry: UInt64
    ) throws(MachineCodeError) {
        try refuse(kind)
        guard instruction.count == 2 else {
            throw MachineCodeError(.notRelocatable, "The prologue holds a short branch with a prefix.")
        }
        let destination = end &+ UInt64(bitPattern: Int64(Int8(bitPattern: instruction[1])))
        try Self.check(destination, entry: entry, branchesToEntry: &branchesToEntry)
        let opcode = instruction[0]
        switch kind {
        case .jump where opcode == 0xEB:
            copy([0xE9, 0, 0, 0, 0], requesting: destination, at: 1)
        case .conditional where opcode & 0xF0 == 0x70:
            copy([0x0F, opcode + 0x10, 0, 0, 0, 0], requesting: destination, at: 2)
        default:
            throw MachineCodeError(.badShape, "A short branch has another opcode than its kind says.")
        }
    }
}
