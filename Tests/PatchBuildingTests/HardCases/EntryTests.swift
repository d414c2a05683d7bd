//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import PatchBuilding
import Testing

private typealias Edit = SourceFixture.Edit
private typealias File = SourceFixture.File

/// The first bytes of functions, and functions whose bytes no compiler of C made.
@Suite("Entries")
struct EntryTests {
    private static let source = """
        int nothing_count;
        int tiny(int x) { return 0; }
        int tiny_argument(int x) { return x; }
        void nothing(int x) { }
        int calls(int x) { nothing_count = 0; nothing(x); return tiny(x) + tiny_argument(x) * 2; }
        int back(int x) { do { x = x * 5 + 3; nothing_count++; } while (x & 0x40); return x; }
        __attribute__((noinline)) int larger(int x) { int r = x; for (int i = 0; i < x; i++) r = r * 3 ^ i; return r; }
        int calls_larger(int x) { return larger(x) + 1; }
        int (*larger_pointer(int x))(int) { return larger; }
        """

    @Test("Functions of less than five bytes, where padding follows")
    func short() throws {
        let fixture = try SourceFixture(Self.source)
        defer { fixture.remove() }
        let outcome = try fixture.prove(
            [
                Edit("first.c", "tiny(int x) { return 0; }", "tiny(int x) { return x * 7 + 5; }"),
                Edit("first.c", "tiny_argument(int x) { return x; }", "tiny_argument(int x) { return x * 3; }"),
            ], functions: ["tiny", "tiny_argument"], [.call("tiny", 3), .call("tiny_argument", 4), .call("calls", 2)])
        #expect(outcome.functions.map(\.sizeBefore) == [3, 3])
        #expect(outcome.patch?.entries.allSatisfy { $0.expected.count >= 5 && $0.gate != nil } == true)
        // One byte.
        try fixture.prove(
            [
                Edit("first.c", "void nothing(int x) { }", "void nothing(int x) { nothing_count += x; }"),
                Edit("first.c", "tiny(int x) { return 0; }", "tiny(int x) { return nothing_count; }"),
            ], functions: ["nothing", "tiny"], [.call("calls", 2)])
    }

    @Test("Functions of less than five bytes, where another follows at once")
    func shortWithoutPadding() throws {
        let fixture = try SourceFixture(Self.source, flags: ["-falign-functions=1"])
        defer { fixture.remove() }
        try fixture.refuse(
            [Edit("first.c", "tiny(int x) { return 0; }", "tiny(int x) { return x * 7; }")], .tooShort,
            word: "impossible")
    }

    @Test("A branch back into the first bytes")
    func branchBack() throws {
        // -Os leaves the loop at the start of the function.
        let loop =
            "int spin(int x) { do { x = x * 5 + 3; } while (x & 0x40); return x; }\nint other(int x) { return x; }"
        let assembler = """
            .text
            .globl spin
            .type spin, @function
            spin:
            .cfi_startproc
            1: lea 3(%rdi,%rdi,4), %edi
            test $0x40, %dil
            jne 1b
            mov %edi, %eax
            ret
            .cfi_endproc
            .size spin, .-spin
            """
        for (name, text, old, new) in [
            ("first.c", loop, "x * 5 + 3", "x * 5 + 4"), ("first.S", assembler, "lea 3(", "lea 4("),
        ] {
            let fixture = try SourceFixture([File(name: name, text: text, flags: ["-Os"])])
            defer { fixture.remove() }
            let outcome = try fixture.outcome(old, new)
            if name == "first.S" {
                #expect(outcome.patch == nil, "\(outcome.judgement)")
            } else if outcome.patch != nil {
                try fixture.prove([Edit(name, old, new)], [.call("spin", 1), .call("spin", 77)])
            } else {
                #expect(outcome.judgement.reasons.map(\.code).contains(.branchIntoEntry), "\(outcome.judgement)")
            }
        }
    }

    @Test("With -fcf-protection endbr64 stays first, and the new function has it too")
    func indirectBranchTracking() throws {
        let fixture = try SourceFixture(Self.source, flags: ["-fcf-protection"])
        defer { fixture.remove() }
        let outcome = try fixture.prove(
            [
                Edit("first.c", "r * 3 ^ i", "r * 7 ^ i"),
                Edit("first.c", "tiny(int x) { return 0; }", "tiny(int x) { return 9; }"),
            ],
            functions: ["larger", "tiny"], [.call("larger", 4), .call("calls_larger", 5), .call("calls", 1)])
        let truth = try fixture.symbolTable()
        let patch = try #require(outcome.patch)
        for entry in patch.entries {
            let start = try #require(truth[entry.name])
            #expect(entry.address == start + 4)
            #expect(Array(fixture.shipped[Int(start)..<(Int(start) + 4)]) == [0xf3, 0x0f, 0x1e, 0xfa])
            let replacement = Int(entry.replacement)
            #expect(Array(patch.image.code[replacement..<(replacement + 4)]) == [0xf3, 0x0f, 0x1e, 0xfa])
            #expect(Array(entry.expected.prefix(4)) != [0xf3, 0x0f, 0x1e, 0xfa])
        }
        #expect(outcome.functions.allSatisfy { $0.address == truth[$0.name] })
    }

    @Test("Unwind rules of a gate hold for a function that begins with endbr64")
    func indirectBranchTrackingUnwind() throws {
        let source = """
            extern int printf(const char *, ...);
            int depth(int x) { int a[8]; for (int i = 0; i < 8; i++) a[i] = printf("%s", x > 90 ? "-" : ""); return a[x & 7] + x; }
            """
        let fixture = try SourceFixture(source, flags: ["-fcf-protection"])
        defer { fixture.remove() }
        try fixture.prove(
            [Edit("first.c", "a[x & 7] + x", "a[x & 7] + x * 2")], [.call("depth", 3), .call("depth", 91)])
    }

    @Test("Hand-written assembler is not patched")
    func assembler() throws {
        let text = """
            .text
            .globl sum
            .type sum, @function
            sum: lea 1(%rdi,%rdi), %eax
            nop
            nop
            ret
            .size sum, .-sum
            .globl difference
            .type difference, @function
            difference: mov %edi, %eax
            sub $12, %eax
            ret
            .size difference, .-difference
            """
        let fixture = try SourceFixture([File(name: "first.S", text: text)])
        defer { fixture.remove() }
        let outcome = try fixture.outcome("lea 1(", "lea 2(")
        #expect(outcome.patch == nil)
        #expect(outcome.judgement.reasons.contains { $0.code == .assembler }, "\(outcome.judgement)")
    }

    @Test("Objects for link-time optimisation are refused by name")
    func linkTimeOptimisation() throws {
        for flags in [["-flto"], ["-flto", "-ffat-lto-objects"]] {
            let fixture = try SourceFixture(Self.source, flags: flags)
            defer { fixture.remove() }
            #expect {
                try fixture.outcome("r * 3 ^ i", "r * 7 ^ i")
            } throws: { error in
                guard let error = error as? PatchBuildingError else { return false }
                return error.code == .linkTimeOptimised && error.reason.contains("first.c")
            }
        }
    }
}
