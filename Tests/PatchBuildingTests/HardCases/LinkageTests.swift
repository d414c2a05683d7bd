//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import LivePatch
import PatchBuilding
import Testing

private typealias Edit = SourceFixture.Edit
private typealias File = SourceFixture.File

/// Symbols that others define, replace or choose.
@Suite("Symbols, slots and stubs")
struct LinkageTests {
    private static let header = """
        #define LIMIT 10
        struct state { int value; int count; };
        int shared(int x);
        int internal(int a, int b) __attribute__((visibility("hidden")));
        static inline int clamp(int x) { return x > LIMIT ? LIMIT : x; }
        """
    private static let first = """
        #include "internal.h"
        extern int knob;
        __attribute__((visibility("hidden"))) extern int own_knob;
        int exported(int x) { return x * 3 + 1; }
        int calls_exported(int x) { return exported(x) + 2; }
        int calls_shared(int x) { return shared(x) * 2; }
        int calls_internal(int x) { return internal(x, 4) - 1; }
        int reads_knob(int x) { return knob * x + own_knob; }
        int clamped(int x) { return clamp(x) + 1; }
        typedef int (*function)(int);
        function exported_pointer(int x) { return exported; }
        function shared_pointer(int x) { return shared; }
        function *knob_pointer(int x) { return (function *)&knob; }
        static int implementation(int x) { return x + 40; }
        static int other_implementation(int x) { return x - 40; }
        static void *choose(void) { return implementation; }
        int chosen(int x) __attribute__((ifunc("choose")));
        int calls_chosen(int x) { return chosen(x) + 1; }
        static struct state current;
        int stateful(int x) { current.count += x; return current.count * 3 + current.value++; }
        int untouched(int x) { return x; }
        """
    private static let second = """
        #include "internal.h"
        int knob = 5;
        __attribute__((visibility("hidden"))) int own_knob = 6;
        int shared(int x) { return x + 7; }
        int internal(int a, int b) { return a * 5 + b; }
        int also_internal(int x) { return internal(x, 9) + clamp(x); }
        typedef int (*function)(int);
        function second_pointer(int x) { return shared; }
        """
    private static let files = [
        File(name: "internal.h", text: header), File(name: "first.c", text: first),
        File(name: "second.c", text: second),
    ]
    private static let fixture = Result { try SourceFixture(files) }
    private static let calls: [PatchDriver.Step] = [
        "exported", "calls_exported", "calls_shared", "calls_internal", "reads_knob", "clamped", "calls_chosen",
        "also_internal",
    ].flatMap { name in [3, 14].map { PatchDriver.Step.call(name, $0) } }

    @Test(
        "Slots that the linker relaxed and slots that it left, eager and lazy stubs, and none",
        arguments: [
            [], ["-Wl,-Bsymbolic"], ["-Wl,--no-relax"], ["-Wl,-z,lazy"], ["-Wl,-Bsymbolic-functions", "-Wl,-z,lazy"],
        ])
    func slots(linker: [String]) throws {
        let fixture = try SourceFixture(
            Self.files, linkerFlags: linker.contains("-Wl,-z,lazy") ? linker : linker + ["-Wl,-z,now"])
        defer { fixture.remove() }
        try fixture.prove(
            [
                Edit("first.c", "knob * x", "knob * 2 * x"), Edit("first.c", "shared(x) * 2", "shared(x) * 20"),
                Edit("first.c", "internal(x, 4) - 1", "internal(x, 5) - 1"),
            ], functions: ["calls_internal", "calls_shared", "reads_knob"], Self.calls)
    }

    @Test("Calls without stubs, through slots", arguments: [[], ["-Wl,-Bsymbolic"]])
    func withoutPLT(linker: [String]) throws {
        let fixture = try SourceFixture(Self.files, flags: ["-fno-plt"], linkerFlags: linker + ["-Wl,-z,now"])
        defer { fixture.remove() }
        try fixture.prove(
            [
                Edit("first.c", "shared(x) * 2", "shared(x) * 20"),
                Edit("first.c", "exported(x) + 2", "exported(x) + 3"),
            ],
            functions: ["calls_exported", "calls_shared"], Self.calls)
    }

    @Test("A function that another object replaces at run time stays replaced, for new functions too")
    func interposition() throws {
        let fixture = try Self.fixture.get()
        let interposer = try SourceFixture(
            [File(name: "interposer.c", text: "int exported(int x) { return 9000 + x; }\nint knob = 77;")])
        defer { interposer.remove() }
        let after = try fixture.edited([
            Edit("first.c", "exported(x) + 2", "exported(x) + 200"),
            Edit("first.c", "knob * x", "knob * 2 * x"),
        ])
        let patch = try #require(try fixture.outcome(after).patch)
        let steps: [PatchDriver.Step] = [.call("calls_exported", 3), .call("reads_knob", 1)]
        let printed = try fixture.exercise(patch, steps, preloaded: [interposer.target])
        #expect(printed.first == ["9005", "83"])
        #expect(printed[printed.count - 2] == ["9203", "160"])
        let truth = try PatchDriver.run(
            try fixture.rebuilt(after), kind: .library, preloaded: [interposer.target], steps, in: fixture.directory)
        #expect(printed[printed.count - 2] == truth)
    }

    @Test("The address of a function stays the old one, from changed and unchanged code")
    func pointerEquality() throws {
        let fixture = try Self.fixture.get()
        let outcome = try fixture.outcome([
            Edit("second.c", "return x + 7;", "return x + 70;"),
            Edit(
                "first.c", "function shared_pointer(int x) { return shared; }",
                "function shared_pointer(int x) { return x > 100 ? 0 : shared; }"),
        ])
        let patch = try #require(outcome.patch, "\(outcome.judgement)")
        let printed = try fixture.exercise(
            patch, [.same("shared_pointer", "second_pointer"), .call("calls_shared", 1)])
        #expect(printed.map(\.[0]).allSatisfy { $0 == "same" })
        #expect(printed.map(\.[1]).first == "16")
        #expect(printed.map(\.[1])[printed.count - 2] == "142")
    }

    @Test("Where a resolver chose a function, that one is replaced")
    func indirectFunction() throws {
        let fixture = try Self.fixture.get()
        try fixture.prove([Edit("first.c", "x + 40", "x + 41")], functions: ["implementation"], Self.calls)
        try fixture.refuse(
            [Edit("first.c", "{ return implementation; }", "{ return other_implementation; }")], .indirectFunction)
    }

    @Test("A signature that changes over two objects switches at once, while none of the functions runs")
    func signature() throws {
        let fixture = try Self.fixture.get()
        let after = try fixture.edited([
            Edit("internal.h", "int internal(int a, int b)", "int internal(int b, int a, int c)"),
            Edit("first.c", "internal(x, 4)", "internal(4, x, 100)"),
            Edit(
                "second.c", "int internal(int a, int b) { return a * 5 + b; }",
                "int internal(int b, int a, int c) { return a * 5 + b + c; }"),
            Edit("second.c", "internal(x, 9)", "internal(9, x, 200)"),
        ])
        let outcome = try fixture.outcome(after)
        #expect(outcome.judgement.word == "quiescent", "\(outcome.judgement)")
        let patch = try #require(outcome.patch)
        #expect(patch.entries.map(\.name).sorted() == ["also_internal", "calls_internal", "internal"])
        let truth = try PatchDriver.run(
            try fixture.rebuilt(after), kind: .library, Self.calls, in: fixture.directory)
        #expect(try fixture.exercise(patch, Self.calls).dropLast().last == truth)
    }

    @Test("Of a touched header only what differs in bytes is changed; another layout is for a person to judge")
    func header() throws {
        let fixture = try Self.fixture.get()
        try fixture.prove(
            [Edit("internal.h", "#define LIMIT 10", "#define LIMIT 9")], functions: ["clamped", "also_internal"],
            Self.calls)
        let nothing = try fixture.outcome([Edit("internal.h", "#define LIMIT 10", "#define LIMIT 10 /* ten */")])
        #expect(nothing.judgement == .empty)
        let layout = try fixture.refuse(
            [Edit("internal.h", "struct state { int value; int count; };", "struct state { int count; int value; };")],
            .changedLayout)
        #expect(layout.functions.map(\.name) == ["stateful"])
    }
}
