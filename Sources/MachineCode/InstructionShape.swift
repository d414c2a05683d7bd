//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// What must be known of one instruction to move it. Made by the builder, which has a decoder; this room has none.
package struct InstructionShape: Sendable, Equatable {
    /// The part of an instruction that depends on where the instruction lies.
    package enum Field: Sendable, Equatable {
        /// Nothing depends on it.
        case none
        /// A memory operand `[rip + displacement]`; the 32-bit displacement starts at this byte.
        case ripRelative(displacementOffset: UInt8)
        /// A branch with an 8-bit displacement, the last byte.
        case relativeBranch8(BranchKind)
        /// A branch with a 32-bit displacement, the last four bytes.
        case relativeBranch32(BranchKind)
        /// A call through a register or memory: the return address that it pushes depends on it.
        case indirectCall
        /// Something else that depends on it, or that the decoder does not know.
        case unsupported
    }

    /// Kinds of relative branches.
    package enum BranchKind: Sendable, Equatable {
        /// `jmp`
        case jump
        /// `jcc`
        case conditional
        /// `call`
        case call
        /// `loop`, `loope`, `loopne`, `jrcxz`: there is no form with 32 bits.
        case loop
    }

    /// Length in bytes, 1 to 15.
    package var length: UInt8
    /// What depends on the place.
    package var field: Field

    /// Makes a shape.
    package init(length: UInt8, field: Field) {
        self.length = length
        self.field = field
    }
}
