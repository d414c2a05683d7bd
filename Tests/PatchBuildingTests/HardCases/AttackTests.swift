//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import PatchBuilding
import Testing

private typealias Edit = SourceFixture.Edit
private typealias File = SourceFixture.File

/// Attempts to make the builder call automatic what breaks a use that was right before.
@Suite("Attacks on automatic")
struct AttackTests {
    @Test("-Ofast lets the compiler know exported functions as -fno-semantic-interposition does")
    func impliedOptions() throws {
        let source = """
            __attribute__((noinline)) int deep(int x) { return x * 3 + 1; }
            __attribute__((noinline)) int middle(int x) { return deep(x + 1) ^ 5; }
            int outermost(int a, int b, int c) { int r = middle(a); return r + b * c + a; }
            """
        // It shows twice: in the options, and in the local aliases (`middle.localalias`) that GCC makes for such calls.
        for (flags, word) in [(["-Ofast"], "quiescent"), (["-g0", "-O2"], "review"), (["-O2"], "automatic")] {
            let fixture = try SourceFixture(source, flags: flags)
            defer { fixture.remove() }
            let outcome = try fixture.outcome([
                Edit("first.c", "x * 3 + 1", "(x * 3) ^ (x << 2) * (x | 5) + (x * 7) * (x - 3)"),
                Edit("first.c", "int r = middle(a); return r + b * c + a;", "int r = middle(a); return r + b * c - a;"),
            ])
            #expect(outcome.judgement.word == word, "\(flags): \(outcome.judgement)")
            let areDependent = outcome.judgement.reasons.map(\.code).contains(.functionsDependOnEachOther)
            #expect(areDependent == (word != "automatic"), "\(flags): \(outcome.judgement)")
        }
    }

    @Test("What asks the dynamic linker for the next definition would be told another one from patch memory")
    func callerOfTheDynamicLinker() throws {
        let source = """
            #define _GNU_SOURCE
            #include <dlfcn.h>
            int next_pid(int x) { int (*next)(void) = dlsym(RTLD_NEXT, "getpid"); return next ? x : -1; }
            int plain(int x) { return x * 5 + (x >> 3); }
            """
        for flags in [[], ["-fno-plt"]] {
            let fixture = try SourceFixture(source, flags: flags)
            defer { fixture.remove() }
            try fixture.refuse([Edit("first.c", "next ? x : -1", "next ? x + 1 : -1")], .callerAddress)
            #expect(try fixture.outcome("x * 5", "x * 6").judgement == .automatic)
        }
    }

    @Test("An entry of a list that the linker gathers is not lost")
    func gatheredSection() throws {
        let source = """
            typedef int (*command)(int);
            static int first(int x) { return x + 1; }
            static int second(int x) { return x + 2; }
            #define GATHER(f) static const command f##_entry __attribute__((used, section("commands"))) = f
            #ifndef HERE
            int unrelated(int x) { return x * 4; }
            #endif
            """
        let enumerator = """
            typedef int (*command)(int);
            static int base(int x) { return x; }
            static const command base_entry __attribute__((used, section("commands"))) = base;
            extern const command __start_commands[] __attribute__((visibility("hidden")));
            extern const command __stop_commands[] __attribute__((visibility("hidden")));
            int count(int x) { return __stop_commands - __start_commands; }
            """
        let fixture = try SourceFixture([
            File(name: "first.c", text: source), File(name: "second.c", text: enumerator),
        ])
        defer { fixture.remove() }
        try fixture.refuse([Edit("first.c", "#ifndef HERE", "GATHER(first);\n#ifndef HERE")], .changedData)
    }

    @Test("A name that the fix defines and that was another object's is not ignored")
    func newDefinition() throws {
        let fixture = try SourceFixture([
            File(
                name: "first.c",
                text: """
                    extern int hook(int) __attribute__((weak));
                    int with_hook(int x) { return hook ? hook(x) : x; }
                    int getppid(void);
                    int parent(int x) { return getppid() > 0; }
                    """),
            File(name: "second.c", text: "int other(int x) { return x * 3; }"),
        ])
        defer { fixture.remove() }
        for definition in ["int hook(int x) { return x * 100; }", "int getppid(void) { return -1; }"] {
            try fixture.refuse(
                [Edit("second.c", "int other", definition + "\nint other")], .ambiguousName)
        }
    }

    @Test("Two functions that the linker folded into one are not patched as if they were one")
    func folding() throws {
        let body = "(int x) { int r = x; for (int i = 0; i < x; i++) r = (r * 3) ^ i; return r; }"
        let source = """
            __attribute__((noinline, visibility("hidden"))) int one\(body)
            int call_one(int x) { return one(x) + 1; }
            """
        let other = """
            __attribute__((noinline, visibility("hidden"))) int two\(body)
            int call_two(int x) { return two(x) + 2; }
            """
        let fixture = try SourceFixture(
            [File(name: "first.c", text: source), File(name: "second.c", text: other)], flags: ["-ffunction-sections"],
            linkerFlags: ["-fuse-ld=gold", "-Wl,--icf=all", "-Wl,-z,now"])
        defer { fixture.remove() }
        let truth = try fixture.symbolTable()
        try #require(truth["one"] == truth["two"])
        let outcome = try fixture.outcome([Edit("first.c", "(r * 3) ^ i", "(r * 3) ^ (i + 1)")])
        #expect(outcome.judgement.word != "automatic" && outcome.judgement.word != "quiescent", "\(outcome.judgement)")
    }

    @Test("A constant that the compiler spread over functions, and a variable that becomes one")
    func constantPropagation() throws {
        let source = """
            static int limit = 10;
            int below(int x) { return x < limit; }
            int above(int x) { return x > limit; }
            static int moving = 3;
            int move(int x) { return moving = x; }
            int moved(int x) { return moving + x; }
            int plain(int x) { return x * 5 + (x >> 3); }
            """
        let fixture = try SourceFixture(source)
        defer { fixture.remove() }
        // Both functions change with the constant that neither refers to.
        try fixture.prove(
            [Edit("first.c", "limit = 10", "limit = 12")], functions: ["above", "below"],
            [.call("below", 11), .call("above", 11)])
        // It is written now, so it is a variable now.
        try fixture.refuse([Edit("first.c", "return x * 5 +", "limit = x; return x * 5 +")], .newWritableData)
        // It is not written any more, so it is gone.
        let gone = try fixture.outcome("return moving = x;", "return x;")
        #expect(gone.judgement.word == "review", "\(gone.judgement)")
    }

    @Test("A common block is the target's own, unless the fix makes another of it")
    func commonBlock() throws {
        let fixture = try SourceFixture(
            "int block; int put(int x) { return block = x; }\nint use(int x) { return block + x; }\nint plain(int x) { return x * 5; }",
            flags: ["-fcommon"])
        defer { fixture.remove() }
        try fixture.prove(
            [Edit("first.c", "block + x", "block + x * 2")], functions: ["use"], [.call("put", 4), .call("use", 3)])
        // The old one is too small for what the new function reads.
        try fixture.refuse(
            [
                Edit("first.c", "int block;", "int block[4];"), Edit("first.c", "block = x", "block[0] = x"),
                Edit("first.c", "block + x", "block[x & 3] + x"),
            ], .changedData)
        try fixture.refuse(
            [
                Edit("first.c", "int block;", "int block[4] = {1, 2, 3, 4};"),
                Edit("first.c", "block = x", "block[0] = x"),
                Edit("first.c", "block + x", "block[x & 3] + x"),
            ], .ambiguousName)
    }

    @Test("A constructor, and what only it calls")
    func constructor() throws {
        let fixture = try SourceFixture(
            "static int ready; __attribute__((constructor)) static void begin(void) { ready = 7; }\nint use(int x) { return ready + x; }"
        )
        defer { fixture.remove() }
        try fixture.refuse([Edit("first.c", "ready = 7", "ready = 8")], .startOrEndCode)
        try fixture.refuse(
            [Edit("first.c", "int use(", "__attribute__((constructor)) static void more(void) { ready++; }\nint use(")],
            .startOrEndCode)
    }

    @Test("Tail calls go where calls go")
    func tailCalls() throws {
        let fixture = try SourceFixture(
            """
            static __attribute__((noinline)) int inner(int x) { int r = x; for (int i = 0; i < x; i++) r = r * 3 ^ i; return r; }
            extern int exported(int x);
            int exported(int x) { int r = 1; for (int i = 0; i < x; i++) r = r * 5 ^ i; return r; }
            int tail(int x) { return inner(x + 1); }
            int tail_exported(int x) { return exported(x + 1); }
            """)
        defer { fixture.remove() }
        let steps = ["tail", "tail_exported", "exported"].map { PatchDriver.Step.call($0, 5) }
        try fixture.prove([Edit("first.c", "r * 3 ^ i", "r * 7 ^ i")], functions: ["inner"], steps)
        try fixture.prove([Edit("first.c", "r * 5 ^ i", "r * 9 ^ i")], functions: ["exported"], steps)
        try fixture.prove(
            [Edit("first.c", "inner(x + 1)", "inner(x + 2)"), Edit("first.c", "exported(x + 1)", "exported(x + 3)")],
            functions: ["tail", "tail_exported"], steps)
    }

    @Test("A function that becomes visible, and one that is hidden")
    func visibility() throws {
        let fixture = try SourceFixture(
            """
            static __attribute__((noinline)) int inner(int x) { int r = x; for (int i = 0; i < x; i++) r = r * 3 ^ i; return r; }
            int outer(int x) { return inner(x) + 1; }
            __attribute__((noinline)) int shown(int x) { int r = 2; for (int i = 0; i < x; i++) r = r * 7 ^ i; return r; }
            int calls_shown(int x) { return shown(x) + 1; }
            """)
        defer { fixture.remove() }
        let exported = try fixture.outcome(
            "static __attribute__((noinline)) int inner", "__attribute__((noinline)) int inner")
        #expect(exported.judgement.word != "automatic" || exported.patch?.entries.isEmpty == false)
        let hidden = try fixture.outcome([
            Edit("first.c", "__attribute__((noinline)) int shown", "static __attribute__((noinline)) int shown"),
            Edit("first.c", "r * 7 ^ i", "r * 8 ^ i"),
        ])
        // Others may call it by its name, and do so after the patch as before.
        #expect(hidden.judgement.word != "automatic", "\(hidden.judgement)")
    }
}
