//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import PatchBuilding
import Testing

/// Sources whose edits look harmless and are not.
private enum Hazards {
    static let first = """
        __attribute__((visibility("hidden"), weak)) int tunable = 1;
        __attribute__((visibility("hidden"), weak, noinline)) int bound(int x) { return x + 100; }
        __attribute__((visibility("hidden"))) int picked(int x);
        typedef int (*callback)(int);
        static int implementation(int x) { return x + 40; }
        static void *choose(void) { return implementation; }
        static __attribute__((ifunc("choose"))) int chosen(int x);
        static __attribute__((section("own_variables"))) volatile int older = 0;
        static __attribute__((section("own_variables"))) volatile int newer = 0;
        static int samples[3];

        static __attribute__((noinline)) int deep(int x) { return x * 3 + 1; }
        static __attribute__((noinline)) int middle(int x) { return deep(x + 1) ^ 5; }
        int outer(int a, int b, int c) { int r = middle(a); return r + b * c + a; }

        int first_use(int x) { static int seen; return x + ++seen; }
        int second_use(int x) { return x * 7; }

        int original(int x) { return x + 1; }
        __attribute__((alias("original"))) int renamed(int x);
        int tuned(int x) { return x + tunable; }
        int bounded(int x) { return bound(x) * 2; }
        callback bound_pointer(int x) { return x > 3 ? bound : 0; }
        int with_chosen(int x) { return chosen(x) + 1; }
        int alone(int x) { return x * 3 + 4; }
        int set_older(int x) { return older += x; }
        int set_newer(int x) { return newer -= x; }
        int sampled(int i) { return samples[i]++; }

        extern int ext(int x);
        static __attribute__((noinline)) int one(int x) { int r = ext(x); return r * 3 + ext(r + 1); }
        static __attribute__((noinline)) int two(int x) { int r = ext(x); return r * 3 + ext(r + 1); }
        int call_one(int x) { return one(x) + 1; }
        int call_two(int x) { return two(x) + 2; }
        int vector(int x) {
            volatile int memory[4] = {x, x, x, x};
            int copy[4], sum = 0;
            const int add[4] = {1, 2, 3, 4};
            __builtin_memcpy(copy, (void *)memory, sizeof copy);
            for (int i = 0; i < 4; i++) copy[i] += add[i];
            __builtin_memcpy((void *)memory, copy, sizeof copy);
            for (int i = 0; i < 4; i++) sum += memory[i] * (i + 1);
            return sum;
        }
        int jumps(int x) {
            static const void *const labels[] = {&&a, &&b, &&c};
            goto *labels[x];
            a: return 11;
            b: return ext(22);
            c: return ext(33);
        }
        """

    static let second = """
        __attribute__((visibility("hidden"))) int tunable = 2;
        __attribute__((visibility("hidden"), noinline)) int bound(int x) { return x + 200; }
        static int implementation(int x) { return x + 80; }
        static void *choose(void) { return implementation; }
        __attribute__((visibility("hidden"), ifunc("choose"))) int picked(int x);
        int reader(int x) { return bound(x) - tunable; }
        int ext(int x) { return x + 2; }
        """

    static let fixture = Result { try MatchingFixture([("first.c", first), ("second.c", second)]) }

    static func outcome(_ edits: [(old: String, new: String)]) throws -> Outcome {
        try fixture.get().outcome(edits.map { ("first.c", $0.old, $0.new) })
    }
}

@Suite("Edits that look harmless")
struct HazardTests {
    @Test("Registers that a callee spares are known to callers beyond an unchanged function")
    func registersBeyondUnchanged() throws {
        // The new `deep` uses registers in which the old `outer` keeps its values; `middle`, between them, has
        // the same bytes.
        let outcome = try Hazards.outcome([
            (
                "return x * 3 + 1;",
                "int a = x * 3, b = x ^ 7, c = x << 2; return (a * b) ^ (b * c) ^ (a + c) + a * c * (b | a);"
            )
        ])
        #expect(Set(outcome.functions.map(\.name)) == ["deep", "outer"])
        #expect(outcome.judgement.reasons.map(\.code).contains(.functionsDependOnEachOther), "\(outcome.judgement)")
    }

    @Test("A variable of one function is not that of another, though both have one name")
    func variableOfAnotherFunction() throws {
        let outcome = try Hazards.outcome([
            ("static int seen; return x + ++seen;", "return x + 1;"),
            ("return x * 7;", "static int seen; return x * 7 + seen++;"),
        ])
        #expect(outcome.judgement.word == "review", "\(outcome.judgement)")
        #expect(outcome.patch == nil)
    }

    @Test("An alias that becomes a function of its own is not lost")
    func alias() throws {
        let outcome = try Hazards.outcome([
            (
                "__attribute__((alias(\"original\"))) int renamed(int x);",
                "int renamed(int x) { return x < 0 ? 0 : original(x); }"
            )
        ])
        #expect(outcome.judgement.word == "review", "\(outcome.judgement)")
    }

    @Test("A weak variable is the one that the linker took")
    func weakVariable() throws {
        let fixture = try Hazards.fixture.get()
        let outcome = try Hazards.outcome([("return x + tunable;", "return x + tunable * 10;")])
        let truth = try fixture.symbolTable()
        let strong = try #require(truth["tunable"])
        let patch = try #require(outcome.patch, "\(outcome.judgement)")
        let loaded = try LoadedPatch(library: fixture.library, patch: patch)
        defer { loaded.close() }
        #expect(loaded.call("tuned", 5) == 7)
        try loaded.jump(toGates: false)
        #expect(loaded.call("tuned", 5) == 25)
        try loaded.undo()
        #expect(patch.image.relocations.contains { $0.destination == .target(strong) })
    }

    @Test("The address of a weak function is that of the one that the linker took")
    func weakFunctionAddress() throws {
        let fixture = try Hazards.fixture.get()
        let outcome = try Hazards.outcome([("return x > 3 ? bound : 0;", "return x > 4 ? bound : 0;")])
        let strong = try #require(try fixture.symbolTable()["bound"])
        let patch = try #require(outcome.patch, "\(outcome.judgement)")
        #expect(patch.image.relocations.contains { $0.destination == .target(strong) })
    }

    @Test("A weak function that the linker did not take cannot be replaced")
    func weakFunction() throws {
        let outcome = try Hazards.outcome([("return x + 100;", "return x + 101;")])
        #expect(outcome.judgement.word == "impossible", "\(outcome.judgement)")
    }

    @Test("A function that a resolver chooses is not called by its resolver's address")
    func indirectFunction() throws {
        let own = try Hazards.outcome([("chosen(x) + 1", "chosen(x) + 2")])
        #expect(own.judgement.word == "review", "\(own.judgement)")
        #expect(own.patch == nil)
        let other = try Hazards.outcome([("x * 3 + 4", "x * 3 + picked(x)")])
        #expect(other.patch == nil, "\(other.judgement)")
    }

    @Test("Variables that share a section stay where they are")
    func sharedSection() throws {
        let outcome = try Hazards.outcome([
            ("volatile int older = 0;", "volatile int newer = 0;"),
            ("volatile int newer = 0;\nstatic int", "volatile int older = 0;\nstatic int"),
            ("older += x", "older += x + 1"),
        ])
        #expect(outcome.judgement.word != "automatic", "\(outcome.judgement)")
        #expect(outcome.patch == nil)
    }

    @Test("A variable that the fix aligns to more bytes is not the old one")
    func alignment() throws {
        let outcome = try Hazards.outcome([
            ("static int samples[3];", "static __attribute__((aligned(64))) int samples[3];"),
            ("return samples[i]++;", "return samples[i] += 2;"),
        ])
        #expect(outcome.judgement.word == "review", "\(outcome.judgement)")
        #expect(outcome.patch == nil)
    }

    /// Exchanges functions and looks at what comes out before and after.
    private func compare(
        _ old: String, _ new: String, call: String, _ argument: Int32, before: Int32, after: Int32
    ) throws {
        let fixture = try Hazards.fixture.get()
        let outcome = try Hazards.outcome([(old, new)])
        let patch = try #require(outcome.patch, "\(outcome.judgement)")
        let loaded = try LoadedPatch(library: fixture.library, patch: patch)
        defer { loaded.close() }
        #expect(loaded.call(call, argument) == before)
        try loaded.jump(toGates: false)
        #expect(loaded.call(call, argument) == after)
        try loaded.undo()
    }

    @Test("Two functions that the compiler made one are not exchanged for each other")
    func foldedFunctions() throws {
        // `two` is one more name of `one` in the target. ext(5) is 7, ext(8) is 10.
        let old = "(int x) { int r = ext(x); return r * 3"
        let new = "(int x) { int r = ext(x); return r * 4"
        try compare("two" + old, "two" + new, call: "call_two", 5, before: 33, after: 40)
        let outcome = try Hazards.outcome([("one" + old, "one" + new)])
        #expect(outcome.functions.map(\.name) == ["call_two", "one", "two"])
        #expect(outcome.judgement.reasons.map(\.code).contains(.functionsDependOnEachOther), "\(outcome.judgement)")
    }

    @Test("Constants that vector instructions read are aligned")
    func vectorConstants() throws {
        try compare("add[4] = {1, 2, 3, 4}", "add[4] = {1, 2, 3, 5}", call: "vector", 0, before: 30, after: 34)
    }

    @Test("A table of labels leads into the old function")
    func labels() throws {
        let outcome = try Hazards.outcome([("return ext(22)", "return ext(23)")])
        #expect(outcome.judgement.word == "review", "\(outcome.judgement)")
    }

    @Test("Without interposition the compiler knows of exported functions what it knows of static ones")
    func withoutInterposition() throws {
        let source = """
            __attribute__((noinline)) int deep(int x) { return x * 3 + 1; }
            __attribute__((noinline)) int middle(int x) { return deep(x + 1) ^ 5; }
            int outer(int a, int b, int c) { int r = middle(a); return r + b * c + a; }
            """
        for (flag, word) in [("-fno-semantic-interposition", "quiescent"), ("-fsemantic-interposition", "automatic")] {
            let fixture = try MatchingFixture([("first.c", source)], compilerFlags: ["-g", flag])
            defer { fixture.remove() }
            let outcome = try fixture.outcome([
                ("first.c", "x * 3 + 1", "(x * 3) ^ (x << 2) * (x | 5) + (x * 7) * (x - 3)"),
                ("first.c", "+ b * c + a", "+ b * c - a"),
            ])
            #expect(outcome.judgement.word == word, "\(flag): \(outcome.judgement)")
        }
    }
}
