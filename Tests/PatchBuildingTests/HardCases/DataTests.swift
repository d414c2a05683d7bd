//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import PatchBuilding
import Testing

private typealias Edit = SourceFixture.Edit

/// Constants and variables: what comes along, what stays where it is, and what a person must judge.
@Suite("Constants, variables and tables")
struct DataTests {
    private static let source = """
        #include <string.h>
        typedef int (*operation)(int);
        static int add(int x) { return x + 1; }
        static int twice(int x) { return x * 2; }
        struct method { const char *name; operation run; };
        const struct method methods[] = {{"add", add}, {"twice", twice}};
        struct method chosen = {"chosen", add};
        int limits[] = {4, 8};
        int configured = 12;
        int counting(int x) { static int calls = 3; return ++calls * x; }
        int other_counting(int x) { static int calls = 70; return --calls - x; }
        int dispatch(int x) { return methods[x & 1].run(x) + limits[x & 1]; }
        const struct method *find(int x) { return &methods[x & 1]; }
        int run(int x) { return find(x)->run(x); }
        int choose(int x) { return chosen.run(x) + configured; }
        const char *name_of(int x) { return x > 2 ? __func__ : "few"; }
        const char *other_name_of(int x) { return x > 2 ? __func__ : "none"; }
        const char *text(int x) {
            switch (x) { case 0: return "nought"; case 1: return "one"; case 2: return "pair"; case 3: return "trio";
                         case 4: return "four"; }
            return "many";
        }
        int table(int x) {
            switch (x) { case 0: return 12; case 1: return 33; case 2: return 5; case 3: return 99; case 4: return 1;
                         case 5: return 41; }
            return 0;
        }
        int other_table(int x) {
            switch (x) { case 0: return 7; case 1: return 31; case 2: return 2; case 3: return 88; case 4: return 6; }
            return 9;
        }
        extern int puts(const char *);
        int jumping(int x) {
            switch (x) {
            case 0: return add(x) * 3; case 1: return strlen(name_of(x)); case 2: return counting(0) & 1;
            case 3: return twice(configured); case 4: return dispatch(1); case 5: return configured ^ x;
            }
            return -1;
        }
        int plain(int x) { return x * 11; }
        """
    private static let fixture = Result { try SourceFixture(source) }

    @Test("A variable of a function keeps its value, and another function's of the same name its own")
    func staticLocal() throws {
        // Both count on; the driver calls them in every stage alike.
        let fixture = try Self.fixture.get()
        let outcome = try fixture.outcome("++calls * x", "++calls * x + 1000")
        let patch = try #require(outcome.patch, "\(outcome.judgement)")
        #expect(outcome.functions.map(\.name) == ["counting"])
        let printed = try fixture.exercise(patch, [.call("counting", 1), .call("other_counting", 0)])
        #expect(printed == [["4", "69"], ["5", "68"], ["1006", "67"], ["1007", "66"], ["8", "65"]])
    }

    @Test("Tables that the compiler makes of a switch, with other numbers, and one changed")
    func switchTables() throws {
        let fixture = try Self.fixture.get()
        try fixture.prove(
            [
                Edit("first.c", "case 3: return 99", "case 3: return 98"),
                // One more before it: every number moves.
                Edit(
                    "first.c", "int table(int x) {",
                    "int added(int x) { switch (x) { case 0: return 3; case 1: return 1; case 2: return 4; case 3: return 1;"
                        + " case 4: return 59; } return 2; }\nint table(int x) {"),
            ], (0...5).map { .call("table", $0) } + [.call("other_table", 3)])
    }

    @Test("Strings: one changed, one new, one that becomes the end of another")
    func strings() throws {
        let fixture = try Self.fixture.get()
        let steps = (0...5).map { PatchDriver.Step.text("text", $0) } + [.text("name_of", 3), .text("name_of", 1)]
        try fixture.prove([Edit("first.c", "\"few\"", "\"not many\"")], functions: ["name_of"], steps)
        try fixture.prove([Edit("first.c", "\"few\"", "\"unknown\"")], functions: ["name_of"], steps)
        // The linker keeps "ought" as the end of "nought"; in the patch it is a string of its own.
        try fixture.prove([Edit("first.c", "\"few\"", "\"ought\"")], functions: ["name_of"], steps)
    }

    @Test("A table of strings that the compiler made of a switch holds addresses, and comes along or is refused")
    func stringTable() throws {
        let outcome = try Self.fixture.get().outcome("return \"trio\"", "return \"three\"")
        if outcome.judgement.word == "automatic" {
            try Self.fixture.get().prove(
                [Edit("first.c", "return \"trio\"", "return \"three\"")], (0...5).map { .text("text", $0) })
        } else {
            #expect(outcome.judgement.word == "review")
        }
    }

    @Test("A jump table comes along, with its references to what the target has")
    func jumpTable() throws {
        let outcome = try Self.fixture.get().prove(
            [Edit("first.c", "add(x) * 3", "add(x) * 30")], functions: ["jumping"],
            [.call("jumping", 0), .call("jumping", 1), .call("jumping", 3), .call("jumping", 4), .call("jumping", 6)])
        #expect((outcome.patch?.image.constants.count ?? 0) > 8)
    }

    @Test("A new constant without addresses comes along, one with addresses and a new variable do not")
    func newData() throws {
        let fixture = try Self.fixture.get()
        try fixture.prove(
            [
                Edit(
                    "first.c", "return x * 11;",
                    "static const unsigned char weights[] = {3, 1, 4, 1, 5, 9, 2, 6}; return x * 11 + weights[x & 7];")
            ], functions: ["plain"], (0...4).map { .call("plain", $0) })
        try fixture.refuse(
            [
                Edit(
                    "first.c", "return x * 11;",
                    "static const operation all[] = {add, twice, add}; return all[x % 3](x);")
            ], .newDataWithAddresses)
        try fixture.refuse(
            [Edit("first.c", "return x * 11;", "static int seen; return x * 11 + seen++;")], .newWritableData)
    }

    @Test(
        "A changed initialiser is never automatic",
        arguments: [
            ("limits[] = {4, 8}", "limits[] = {4, 9}"), ("configured = 12", "configured = 13"),
            ("{\"chosen\", add}", "{\"chosen\", twice}"), ("calls = 3", "calls = 4"),
            ("{\"twice\", twice}", "{\"twice\", add}"), ("{\"add\", add}", "{\"plus\", add}"),
        ])
    func changedInitialiser(old: String, new: String) throws {
        try Self.fixture.get().refuse([Edit("first.c", old, new)], .changedData)
    }

    @Test("A function that is reached only by a dispatch table is replaced, and the table stays")
    func dispatchTable() throws {
        try Self.fixture.get().prove(
            [Edit("first.c", "return x * 2;", "return x * 2 + 500;")], functions: ["jumping", "twice"],
            [.call("dispatch", 3), .call("run", 3), .call("run", 2)])
    }

    @Test("A table that gets longer is never automatic")
    func longerTable() throws {
        try Self.fixture.get().refuse(
            [Edit("first.c", "{\"twice\", twice}}", "{\"twice\", twice}, {\"more\", add}}")], .changedData)
    }

    @Test("A constant that becomes a variable, and a variable that becomes a constant")
    func constness() throws {
        let fixture = try Self.fixture.get()
        for edit in [
            Edit("first.c", "int limits[]", "const int limits[]"),
            Edit("first.c", "const struct method methods", "struct method methods"),
        ] {
            let outcome = try fixture.outcome([edit, Edit("first.c", "limits[x & 1]", "limits[x & 1] + 1")])
            #expect(outcome.judgement.word == "review", "\(edit.new): \(outcome.judgement)")
        }
        // The old one cannot be written.
        try fixture.refuse(
            [
                Edit("first.c", "const struct method methods", "struct method methods"),
                Edit("first.c", "return x * 11;", "methods[0].name = \"plus\"; return x * 11;"),
            ], .changedData)
    }
}
