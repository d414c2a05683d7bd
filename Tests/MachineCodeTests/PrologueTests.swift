//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import MachineCode
import Testing

@Suite("What keeps a prologue from being moved")
struct PrologueTests {
    private func relocate(
        _ bytes: [UInt8], _ shapes: [(UInt8, InstructionShape.Field)], branches: [UInt64] = []
    ) throws(MachineCodeError) -> PrologueRelocation {
        try PrologueRelocation(
            function: bytes, at: 0x1000, shapes: shapes.map { InstructionShape(length: $0.0, field: $0.1) },
            branchDestinations: branches)
    }

    private func code(
        _ bytes: [UInt8], _ shapes: [(UInt8, InstructionShape.Field)], branches: [UInt64] = []
    ) -> MachineCodeError.Code? {
        do throws(MachineCodeError) {
            _ = try relocate(bytes, shapes, branches: branches)
            return nil
        } catch {
            #expect(error.reason.hasSuffix("."))
            return error.code
        }
    }

    private let nops: [(UInt8, InstructionShape.Field)] = [(1, .none), (4, .none)]
    private let bytes: [UInt8] = [0x90, 0x90, 0x90, 0x90, 0x90, 0xC3, 0xC3]

    @Test("Branches into the overwritten bytes", arguments: 0..<8 as Range<UInt64>)
    func branches(offset: UInt64) throws {
        #expect(code(bytes, nops, branches: [0x1100, 0x1000 + offset]) == ((1..<5) ~= offset ? .branchIntoEntry : nil))
        if offset == 0 { #expect(try relocate(bytes, nops, branches: [0x1000]).branchesToEntry) }
        if offset == 5 { #expect(try !relocate(bytes, nops, branches: [0x1005]).branchesToEntry) }
    }

    @Test("A branch of the prologue itself, short and near")
    func ownBranches() throws {
        // test edi, edi; je +1 (leads to offset 5); nop
        #expect(
            code([0x85, 0xFF, 0x74, 0x01, 0x90, 0xC3], [(2, .none), (2, .relativeBranch8(.conditional)), (1, .none)])
                == nil)
        // ... je +0 (leads to offset 4, which is overwritten)
        #expect(
            code([0x85, 0xFF, 0x74, 0x00, 0x90, 0xC3], [(2, .none), (2, .relativeBranch8(.conditional)), (1, .none)])
                == .branchIntoEntry)
        // jmp near to offset 1
        #expect(code([0xE9, 0xFC, 0xFF, 0xFF, 0xFF], [(5, .relativeBranch32(.jump))]) == .branchIntoEntry)
        // ... to offset 0
        #expect(try relocate([0xE9, 0xFB, 0xFF, 0xFF, 0xFF], [(5, .relativeBranch32(.jump))]).branchesToEntry)
        // mov rax, [rip - 5]: its own bytes
        #expect(
            code([0x48, 0x8B, 0x05, 0xFB, 0xFF, 0xFF, 0xFF], [(7, .ripRelative(displacementOffset: 3))])
                == .notRelocatable)
    }

    @Test("Instructions that cannot be moved")
    func refused() {
        #expect(code([0xE8, 0, 1, 0, 0], [(5, .relativeBranch32(.call))]) == .notRelocatable)
        #expect(code([0x53, 0xFF, 0x15, 9, 0, 0, 0], [(1, .none), (6, .indirectCall)]) == .notRelocatable)
        #expect(code([0xE3, 9, 0x90, 0x90, 0x90], [(2, .relativeBranch8(.loop)), (3, .none)]) == .notRelocatable)
        #expect(code([0xE2, 9, 0x90, 0x90, 0x90], [(2, .relativeBranch8(.loop)), (3, .none)]) == .notRelocatable)
        #expect(code(bytes, [(5, .unsupported)]) == .notRelocatable)
        // A short branch with a prefix.
        #expect(
            code([0x2E, 0x74, 9, 0x90, 0x90], [(3, .relativeBranch8(.conditional)), (2, .none)]) == .notRelocatable)
    }

    @Test("Shapes that do not fit")
    func badShapes() {
        #expect(code(bytes, []) == .badShape)
        #expect(code(bytes, [(4, .none)]) == .badShape)
        #expect(code(bytes, [(0, .none), (5, .none)]) == .badShape)
        #expect(code(bytes, [(16, .none)]) == .badShape)
        #expect(code(bytes, [(4, .none), (15, .none)]) == .badShape)
        #expect(code([], [(5, .none)]) == .badShape)
        #expect(code(bytes, [(5, .ripRelative(displacementOffset: 2))]) == .badShape)
        #expect(code(bytes, [(5, .ripRelative(displacementOffset: 0))]) == .badShape)
        #expect(code(bytes, [(5, .ripRelative(displacementOffset: 255))]) == .badShape)
        #expect(code(bytes, [(4, .relativeBranch32(.jump)), (1, .none)]) == .badShape)
        #expect(code(bytes, [(2, .relativeBranch8(.jump)), (3, .none)]) == .badShape)
        #expect(code(bytes, [(2, .relativeBranch8(.conditional)), (3, .none)]) == .badShape)
    }

    @Test("Instructions keep their order and get a place each")
    func places() throws {
        // push rbx; test edi, edi; je +0x10; nop: the branch grows by 4 bytes
        let relocated = try relocate(
            [0x53, 0x85, 0xFF, 0x74, 0x10, 0x90],
            [(1, .none), (2, .none), (2, .relativeBranch8(.conditional)), (1, .none)])
        #expect(relocated.bytes == [0x53, 0x85, 0xFF, 0x0F, 0x84, 0, 0, 0, 0])
        #expect(
            relocated.places == [
                .init(original: 0, relocated: 0), .init(original: 1, relocated: 1), .init(original: 3, relocated: 3),
                .init(original: 5, relocated: 9),
            ])
        #expect(relocated.requests == [FieldRequest(offset: 5, destination: .target(0x1015), addend: -4)])
        #expect(relocated.originalSize == 5)
    }
}
