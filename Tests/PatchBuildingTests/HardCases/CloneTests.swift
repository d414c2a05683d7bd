//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import PatchBuilding
import Testing

private typealias Edit = SourceFixture.Edit

/// What compilers make of functions: copies inside others, clones for some callers, parts that lie apart.
@Suite("Inlined functions and clones")
struct CloneTests {
    private static let source = """
        #include <stdlib.h>
        #include <stdio.h>
        struct pair { long unused; int value, weight; };
        int total;
        int set_total(int x) { return total = x; }
        static inline int limit(int x) { return x > 10 ? 10 : x; }
        int inlined_first(int x) { return limit(x) * 2; }
        int inlined_second(int x) { return limit(x + 3) + 1; }
        static __attribute__((noinline)) int weigh(struct pair *p, int n) {
            int base = p->value, sum = 0;
            for (int i = 0; i < n; i++) sum += base * i;
            return sum + 3;
        }
        int scalar(int x) { struct pair p = {1, x, 2}; return weigh(&p, 5) + weigh(&p, x); }
        static __attribute__((noinline)) int step(int x, int mode) {
            int sum = total;
            for (int i = 0; i < x; i++) sum += mode == 3 ? i * 7 : i ^ mode;
            return sum;
        }
        int constant(int x) { return step(x, 3) + step(x + 1, 3); }
        static int split(int x) {
            if (x < 5) return 0;
            int sum = total;
            for (int i = 0; i < x; i++) {
                sum += i * i;
                if (sum > 4000) puts("");
                printf("%s", sum < 0 ? "-" : "");
                sum ^= i << 3;
            }
            return sum + 2;
        }
        int part_first(int x) { return split(x) + 1; }
        int part_second(int x) { return split(x + 2) * 2; }
        int part_third(int x) { return split(x + 4) * 3; }
        __attribute__((cold, noinline)) int complain(int x) { total += x; return total * 2; }
        int cold(int x) { if (x < 0) { int r = complain(x); return r * 5 + complain(x + 1); } return x * 3 + total; }
        int warm(int x) { return x * 9 + total; }
        """
    private static let fixture = Result { try SourceFixture(source) }

    private static let calls: [PatchDriver.Step] =
        [.call("set_total", 4)]
        + [
            "inlined_first", "inlined_second", "scalar", "constant", "part_first", "part_second", "part_third", "cold",
            "warm",
        ].flatMap { name in [2, 7, 12].map { PatchDriver.Step.call(name, $0) } }

    @Test("The compiler makes of the source what these tests are about")
    func clones() throws {
        let names = try Self.fixture.get().symbolTable().keys
        for name in ["weigh.isra.0", "step.constprop.0", "split.part.0", "cold.cold"] {
            #expect(names.contains(name), "\(name)")
        }
        #expect(!names.contains("limit"))
    }

    @Test("An edit of a function that is only inlined changes its callers")
    func inlined() throws {
        let outcome = try Self.fixture.get().prove(
            [Edit("first.c", "x > 10 ? 10 : x", "x > 9 ? 9 : x")], functions: ["inlined_first", "inlined_second"],
            Self.calls)
        #expect(outcome.patch?.entries.count == 2)
    }

    @Test("A function without a parameter that nobody needs (.isra)")
    func isra() throws {
        try Self.fixture.get().prove(
            [Edit("first.c", "return sum + 3", "return sum + 5")], functions: ["weigh.isra.0"], Self.calls)
    }

    @Test("A function for one value of a parameter (.constprop)")
    func constprop() throws {
        try Self.fixture.get().prove(
            [Edit("first.c", "i * 7", "i * 9")], functions: ["step.constprop.0"], Self.calls)
    }

    @Test("A function whose beginning is inlined (.part)")
    func part() throws {
        try Self.fixture.get().prove(
            [Edit("first.c", "return sum + 2", "return sum + 6")], functions: ["split.part.0"], Self.calls)
        // The beginning is in the callers; for this one the compiler does not take the function apart any more.
        try Self.fixture.get().prove(
            [Edit("first.c", "if (x < 5) return 0;", "if (x < 5) return 8;")],
            Self.calls)
    }

    @Test("A part for what seldom happens (.cold) comes with its function, also where only it changes")
    func coldPart() throws {
        let fixture = try Self.fixture.get()
        let hot = try fixture.prove(
            [Edit("first.c", "x * 3 + total", "x * 4 + total")], functions: ["cold"], Self.calls)
        #expect(hot.patch?.entries.count == 1)
        let only = try fixture.prove(
            [Edit("first.c", "r * 5 + complain", "r * 6 + complain")], functions: ["cold"],
            [.call("set_total", 3), .call("cold", -1)])
        #expect(only.patch?.symbols.contains { $0.name == "cold.cold" } == true)
    }

    @Test("A cold part that appears and one that disappears")
    func coldPartAppears() throws {
        let fixture = try Self.fixture.get()
        let appears = try fixture.prove(
            [
                Edit(
                    "first.c", "return x * 9 + total;",
                    "if (x < 0) { int r = complain(x); return r * 3 + complain(x + 1); } return x * 9 + total;")
            ], functions: ["warm"], [.call("set_total", 3), .call("warm", 3), .call("warm", -3)])
        #expect(appears.patch?.symbols.contains { $0.name == "warm.cold" } == true)
        try fixture.prove(
            [
                Edit(
                    "first.c", "if (x < 0) { int r = complain(x); return r * 5 + complain(x + 1); } return x * 3",
                    "return x * 3")
            ], functions: ["cold"], [.call("set_total", 3), .call("cold", -3)])
    }

    @Test("Clones that appear and disappear need quiescence: their callers change with them")
    func clonesAppear() throws {
        let fixture = try Self.fixture.get()
        // With two values there is no clone for one any more.
        let gone = try fixture.prove(
            [Edit("first.c", "step(x + 1, 3)", "step(x + 1, x)")], Self.calls)
        #expect(!gone.functions.contains { $0.name == "step.constprop.0" && $0.sizeAfter != nil })
        // The parameter that was taken apart is used as a whole.
        let whole = try fixture.outcome([Edit("first.c", "return sum + 3", "return sum + 3 + p->weight")])
        #expect(Set(whole.functions.map(\.name)).isSuperset(of: ["scalar"]), "\(whole.functions)")
        #expect(whole.judgement.word != "automatic" || whole.patch?.entries.map(\.name) == ["scalar"])
    }

    @Test("Clones with other numbers are the same")
    func renumbered() throws {
        let before = """
            int total;
            static __attribute__((noinline)) int step(int x, int mode) {
                int sum = total;
                for (int i = 0; i < x; i++) sum += mode == 3 ? i * 7 : i ^ mode;
                return sum;
            }
            int three(int x) { return step(x, 3) + step(x + 1, 3); }
            """
        let fixture = try SourceFixture(before)
        defer { fixture.remove() }
        let outcome = try fixture.prove(
            [
                Edit(
                    "first.c", "int total;",
                    "int total;\nstatic __attribute__((noinline)) int other(int x, int mode) {\n"
                        + "int sum = total; for (int i = 0; i < x; i++) sum += mode == 5 ? i * 3 : i | mode; return sum; }\n"
                        + "int five(int x) { return other(x, 5) + other(x + 1, 5); }"),
                Edit("first.c", "i * 7", "i * 6"),
            ], [.call("three", 4)])
        #expect(outcome.patch?.entries.map(\.name) == ["step.constprop.0"])
    }
}
