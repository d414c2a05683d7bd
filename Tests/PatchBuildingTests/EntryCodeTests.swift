//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import MachineCode
import Testing

@testable import PatchBuilding

/// What the decoder says of instructions that depend on their place.
@Suite("Code of an entry") struct EntryCodeTests {
    private func code(_ bytes: [UInt8]) -> EntryCode {
        var decoder = InstructionDecoder()
        return EntryCode(bytes, at: 0x1000, decoder: &decoder)
    }

    @Test(
        "Instructions and what depends on their place",
        arguments: [
            // push rbp
            ([0x55], .none),
            // mov rax, [rip + 0x10]; cmp dword [rip + 0x10], 7
            ([0x48, 0x8B, 0x05, 0x10, 0, 0, 0], .ripRelative(displacementOffset: 3)),
            ([0x83, 0x3D, 0x10, 0, 0, 0, 0x07], .ripRelative(displacementOffset: 2)),
            // mov eax, [eip + 0x10]
            ([0x67, 0x8B, 0x05, 0x10, 0, 0, 0], .unsupported),
            // je, jmp: short and near
            ([0x74, 0x10], .relativeBranch8(.conditional)),
            ([0xEB, 0x10], .relativeBranch8(.jump)),
            ([0x0F, 0x84, 0x10, 0, 0, 0], .relativeBranch32(.conditional)),
            ([0xE9, 0x10, 0, 0, 0], .relativeBranch32(.jump)),
            // loop, jrcxz, jecxz
            ([0xE2, 0x10], .relativeBranch8(.loop)),
            ([0xE3, 0x10], .relativeBranch8(.loop)),
            ([0x67, 0xE3, 0x10], .relativeBranch8(.loop)),
            // xbegin
            ([0xC7, 0xF8, 0x10, 0, 0, 0], .relativeBranch32(.conditional)),
            // call near; call [rip + 0x10]; call rax; call [rax + 8]
            ([0xE8, 0x10, 0, 0, 0], .relativeBranch32(.call)),
            ([0xFF, 0x15, 0x10, 0, 0, 0], .indirectCall),
            ([0xFF, 0xD0], .indirectCall),
            ([0xFF, 0x50, 0x08], .indirectCall),
            // jmp [rip + 0x10]; jmp rax: a jump leaves no address behind
            ([0xFF, 0x25, 0x10, 0, 0, 0], .ripRelative(displacementOffset: 2)),
            ([0xFF, 0xE0], .none),
            // jmp and je with an operand-size prefix: 16 or 32 bits, as the processor's maker likes
            ([0x66, 0xE9, 0x10, 0, 0, 0], .unsupported),
            ([0x66, 0x0F, 0x84, 0x10, 0, 0, 0], .unsupported),
            // ... and with REX.W too, as calls of __tls_get_addr have it
            ([0x66, 0x48, 0xE8, 0x10, 0, 0, 0], .relativeBranch32(.call)),
        ] as [([UInt8], InstructionShape.Field)])
    func fields(bytes: [UInt8], field: InstructionShape.Field) {
        #expect(code(bytes).decoded.shapes == [InstructionShape(length: UInt8(bytes.count), field: field)])
    }

    @Test("Jumps are known also where they cannot be moved")
    func jumps() {
        // loop to offset 9; jmp with a prefix to offset 0x20
        #expect(code([0xE2, 0x07]).decoded.jumps == [0x1009])
        #expect(code([0x66, 0xE9, 0x1A, 0, 0, 0]).decoded.jumps == [0x1020])
        #expect(code([0xFF, 0xE0, 0xE8, 0, 0, 0, 0]).decoded.jumps == [])
    }

    @Test(
        "A call keeps a prologue from being moved, whichever way it is made",
        arguments: [
            [0xE8, 0x10, 0, 0, 0], [0xFF, 0x15, 0x10, 0, 0, 0], [0x53, 0x48, 0x89, 0xFB, 0xFF, 0xD0],
            [0x53, 0x48, 0x89, 0xFB, 0xFF, 0x50, 0x08],
        ] as [[UInt8]])
    func calls(bytes: [UInt8]) {
        #expect(
            throws: MachineCodeError(
                .notRelocatable, "The prologue calls a function, which would see another return address.")
        ) { try code(bytes + [0xC3]).relocation.get() }
        #expect(!code(bytes + [0xC3]).returnsIntoEntry)
    }

    @Test("Calls that return into the first bytes, and jumps to the first byte")
    func entry() throws {
        // push rbx; call rax; nop; nop
        #expect(code([0x53, 0xFF, 0xD0, 0x90, 0x90]).returnsIntoEntry)
        // push rbx; mov rbx, rdi; nop; jmp to the start
        let looping = code([0x53, 0x48, 0x89, 0xFB, 0x90, 0xEB, 0xF9])
        #expect(looping.branchesToEntry)
        #expect(looping.prologue == [1, 3, 1])
        #expect(looping.prologueSize == 5)
        #expect(throws: Never.self) { try looping.relocation.get() }
        // ... to the second byte
        let inside = code([0x53, 0x48, 0x89, 0xFB, 0x90, 0xEB, 0xFA])
        #expect(!inside.branchesToEntry)
        #expect(throws: MachineCodeError.self) { try inside.relocation.get() }
    }

    @Test("Decoding ends at what is no instruction")
    func data() {
        // ret; 0x06 is push es, which 64-bit code does not have
        let code = code([0xC3, 0x06, 0x90])
        #expect(code.decoded.undecodable == 1)
        #expect(code.decoded.shapes.count == 1)
        // An instruction that its function cuts off.
        #expect(self.code([0x90, 0xE8, 0x10, 0]).decoded.undecodable == 1)
    }
}
