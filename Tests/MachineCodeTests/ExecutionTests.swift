//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import MachineCode
import Testing

/// Relocated prologues and gates, executed.
@Suite("Prologues and gates at work")
struct ExecutionTests {
    /// An old function: its text, and what its first instructions are.
    struct Example: Sendable, CustomTestStringConvertible {
        var name: String
        var text: String
        var shapes: [InstructionShape]

        init(_ name: String, _ text: String, _ shapes: [(UInt8, InstructionShape.Field)]) {
            self.name = name
            self.text = text
            self.shapes = shapes.map { InstructionShape(length: $0.0, field: $0.1) }
        }

        var testDescription: String { name }
    }

    /// Data lie at offset 0x200. Each result depends on what the prologue does.
    static let examples: [Example] = [
        Example(
            "plain", "push %rbp\nmov %rsp, %rbp\nlea 3(%rdi,%rdi), %rax\npop %rbp\nret",
            [(1, .none), (3, .none), (5, .none)]),
        Example(
            "rip-relative load", "mov data(%rip), %rax\nadd %rdi, %rax\nret",
            [(7, .ripRelative(displacementOffset: 3))]),
        Example(
            "rip-relative with an immediate behind",
            "cmpl $77777, data(%rip)\nsete %al\nmovzbl %al, %eax\nadd %rdi, %rax\nret",
            [(10, .ripRelative(displacementOffset: 2))]),
        Example(
            "lea", "xor %eax, %eax\nlea data(%rip), %rdx\nadd 8(%rdx), %rax\nadd %rdi, %rax\nret",
            [(2, .none), (7, .ripRelative(displacementOffset: 3))]),
        Example(
            "short jcc", "test %rdi, %rdi\njs 1f\nlea 1(%rdi), %rax\nret\n1: mov $-5, %rax\nret",
            [(3, .none), (2, .relativeBranch8(.conditional))]),
        Example(
            "short jcc not the last", "test %edi, %edi\nje 1f\npush %rdi\npop %rax\nret\n1: mov $44, %eax\nret",
            [(2, .none), (2, .relativeBranch8(.conditional)), (1, .none)]),
        Example(
            "short jmp", "jmp 1f\nnop\nnop\nnop\n1: lea 9(%rdi), %rax\nret",
            [
                (2, .relativeBranch8(.jump)), (1, .none), (1, .none), (1, .none),
            ]),
        Example(
            "near jcc",
            "test %rdi, %rdi\n.byte 0x0f, 0x85\n.long 1f - . - 4\nmov $8, %eax\nret\n.fill 200, 1, 0xcc\n1: lea 9(%rdi), %rax\nret",
            [(3, .none), (6, .relativeBranch32(.conditional))]),
        Example(
            "near jmp", ".byte 0xe9\n.long 1f - . - 4\n.fill 200, 1, 0xcc\n1: lea 9(%rdi), %rax\nret",
            [
                (5, .relativeBranch32(.jump))
            ]),
        Example(
            "endbr64", "endbr64\npush %rbx\nmov %rdi, %rbx\nlea (%rbx,%rbx,2), %rax\npop %rbx\nret",
            [(4, .none), (1, .none)]),
        Example(
            "flags across the gate's jump back", "cmp $4, %rdi\nmov $0, %eax\nsetl %al\nret",
            [(4, .none), (5, .none)]),
        Example(
            "uses rcx", "mov %rdi, %rcx\nlea (%rcx,%rcx), %rax\nret", [(3, .none), (4, .none)]),
    ]

    @Test("Old by the gate, new by the gate", arguments: examples)
    func gate(example: Example) throws {
        let directory = try TemporaryDirectory()
        let old = try directory.assemble(
            example.text + "\n.org 0x200\ndata: .quad 77777, 12345678\n", at: ExecutionHelper.oldAddress)
        try checkShapes(example, old, in: directory)
        let replacement = try directory.assemble(
            "lea 1000(%rdi), %rax\nret", at: ExecutionHelper.imageAddress + UInt64(ExecutionHelper.replacementOffset))
        let lines = try execute(old: old, shapes: example.shapes, replacement: replacement, in: directory)
        try #require(lines.count == 3)
        #expect(lines[0] == lines[1])
        #expect(lines[2] == "1000 1001 1005 997 1001000 ")
        #expect(lines[0] != lines[2])
    }

    @Test("The gate's instructions are those that its description names")
    func instructions() throws {
        let directory = try TemporaryDirectory()
        let prologue = try PrologueRelocation(
            function: [0x55, 0x48, 0x89, 0xE5, 0x90], at: ExecutionHelper.oldAddress,
            shapes: [1, 3, 1].map { InstructionShape(length: $0, field: .none) }, branchDestinations: [])
        let gate = GateBuilder(prologue: prologue, address: ExecutionHelper.oldAddress)
        let expected = try directory.assemble(
            """
            push %rcx
            mov _start+0x1000(%rip), %rcx
            mov (%rcx), %rcx
            jrcxz 1f
            pop %rcx
            .byte 0xe9
            .long _start + 0x800 - . - 4
            1: pop %rcx
            push %rbp
            mov %rsp, %rbp
            nop
            .byte 0xe9
            .long 0x10000005 - . - 4
            """, at: ExecutionHelper.imageAddress)
        #expect(try resolve(gate) == expected)
        #expect(gate.original == 20)
        #expect(gate.places.map { $0.relocated } == [20, 21, 24, 25])
        #expect(gate.stackSteps.map { $0.offset } == [0, 1, 14, 19, 20])
        #expect(gate.stackSteps.map { $0.canonicalFrameAddressOffset } == [8, 16, 8, 16, 8])
    }

    @Test("No register, flag or stack word changes on either way")
    func registers() throws {
        let directory = try TemporaryDirectory()
        let old = try directory.assemble(
            ".byte 0x0f, 0x1f, 0x44, 0, 0\njmp *0x100+_start(%rip)", at: ExecutionHelper.oldAddress)
        let replacement = try directory.assemble(
            "jmp *0x900+_start(%rip)", at: ExecutionHelper.imageAddress + UInt64(ExecutionHelper.replacementOffset))
        let lines = try execute(
            old: old, shapes: [InstructionShape(length: 5, field: .none)], replacement: replacement, in: directory,
            mode: ["registers"])
        #expect(lines == [String](repeating: "same", count: 64))
    }

    /// The lengths that an example claims are those that the disassembler finds.
    private func checkShapes(_ example: Example, _ old: [UInt8], in directory: TemporaryDirectory) throws {
        let text = try directory.run(
            "/usr/bin/objdump",
            ["-D", "-w", "-b", "binary", "-m", "i386:x86-64", try directory.write(old, as: "old.disassembled")])
        let offsets = text.split(separator: "\n").compactMap { line -> Int? in
            let fields = line.split(separator: ":\t")
            return fields.count == 2 ? Int(fields[0].drop { $0 == " " }, radix: 16) : nil
        }
        var offset = 0
        for shape in example.shapes {
            #expect(offsets.contains(offset))
            offset += Int(shape.length)
            #expect(offsets.contains(offset))
        }
        #expect(offsets.filter { $0 < offset }.count == example.shapes.count)
    }

    private func execute(
        old: [UInt8], shapes: [InstructionShape], replacement: [UInt8], in directory: TemporaryDirectory,
        mode: [String] = []
    ) throws -> [String] {
        let prologue = try PrologueRelocation(
            function: old, at: ExecutionHelper.oldAddress, shapes: shapes, branchDestinations: [])
        #expect(prologue.places.count == shapes.count + 1)
        var image = try resolve(GateBuilder(prologue: prologue, address: ExecutionHelper.oldAddress))
        // 0xCC behind the code: whatever runs off is found out.
        image += [UInt8](repeating: 0xCC, count: ExecutionHelper.replacementOffset - image.count) + replacement
        let jump = try Jump.bytes(from: ExecutionHelper.oldAddress, to: ExecutionHelper.imageAddress)
        let program = directory.path + "/helper"
        try directory.run(
            "/usr/bin/gcc",
            ["-O1", "-no-pie", "-o", program, try directory.write(ExecutionHelper.source, as: "helper.c")])
        let output = try directory.run(
            program,
            [
                try directory.write(old, as: "old"), try directory.write(image, as: "image"),
                try directory.write(jump, as: "jump"),
            ] + mode)
        return output.split(separator: "\n").map(String.init)
    }

    /// A gate's bytes with all fields filled in.
    private func resolve(_ gate: GateBuilder) throws -> [UInt8] {
        var image = gate.bytes
        for request in gate.requests {
            let destination: UInt64
            switch request.destination {
            case .statePointer:
                destination = ExecutionHelper.imageAddress + UInt64(ExecutionHelper.statePointerOffset)
            case .replacement: destination = ExecutionHelper.imageAddress + UInt64(ExecutionHelper.replacementOffset)
            case .target(let address): destination = address
            }
            let place = ExecutionHelper.imageAddress + UInt64(request.offset)
            let value = Int64(destination) + request.addend - Int64(place)
            let field = UInt32(bitPattern: try #require(Int32(exactly: value)))
            #expect(image[request.offset..<(request.offset + 4)].allSatisfy { $0 == 0 })
            for index in 0..<4 { image[request.offset + index] = UInt8(truncatingIfNeeded: field >> UInt32(8 * index)) }
        }
        return image
    }
}
