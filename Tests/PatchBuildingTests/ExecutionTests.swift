//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import PatchBuilding
import Testing

@Suite("Patches that are executed", .serialized)
struct ExecutionTests {
    private static let fixture = Result { try MatchingFixture(FixtureSources.both) }

    /// Builds, loads and tries a patch: old, gates with state 0, gates with state 1, direct jumps, undone.
    private func exercise(
        _ edits: [(file: String, old: String, new: String)], before: (LoadedPatch) throws -> Bool,
        after: (LoadedPatch) throws -> Bool
    ) throws {
        let fixture = try Self.fixture.get()
        let outcome = try fixture.outcome(edits)
        let patch = try #require(outcome.patch, "\(outcome.judgement)")
        try patch.validate()
        let loaded = try LoadedPatch(library: fixture.library, patch: patch)
        defer { loaded.close() }
        #expect(loaded.memoryIsAsExpected)
        #expect(try before(loaded))
        try loaded.jump(toGates: true)
        #expect(try before(loaded), "gates, state 0")
        loaded.commit()
        #expect(try after(loaded), "gates, state 1")
        try loaded.jump(toGates: false)
        #expect(try after(loaded), "jumps")
        try loaded.jump(toGates: true)
        loaded.commit(0)
        try loaded.undo()
        #expect(loaded.memoryIsAsExpected)
        #expect(try before(loaded), "undone")
    }

    @Test("A jump table with static, hidden and exported callees, GOT loads and literals")
    func jumpTable() throws {
        try exercise(
            [("first.c", "second_function(11)", "second_function(12) + second_value")],
            before: {
                $0.call("jump_table", 0) == 32 && $0.call("jump_table", 3) == 21 && $0.call("jump_table", 4) == 7
                    && $0.call("jump_table", 5) == 159 && $0.call("jump_table", 9) == 100
            },
            after: {
                $0.call("jump_table", 0) == 54 && $0.call("jump_table", 3) == 21 && $0.call("jump_table", 4) == 7
                    && $0.call("jump_table", 5) == 159 && $0.call("jump_table", 9) == 100
            })
    }

    @Test("A table that the compiler makes of a switch")
    func switchTable() throws {
        try exercise(
            [("first.c", "case 3: return 99", "case 3: return 98")],
            before: { $0.call("switch_table", 3) == 99 && $0.call("switch_table", 5) == 41 },
            after: { $0.call("switch_table", 3) == 98 && $0.call("switch_table", 5) == 41 })
    }

    @Test("Old and new strings")
    func strings() throws {
        try exercise(
            [("first.c", "names[i] : \"unknown\"", "names[i] : \"not known at all\"")],
            before: { $0.text("name_of", 2) == "two" && $0.text("name_of", 7) == "unknown" },
            after: { $0.text("name_of", 2) == "two" && $0.text("name_of", 7) == "not known at all" })
    }

    @Test("Strings and names that the target has are not copied")
    func sharedStrings() throws {
        let fixture = try Self.fixture.get()
        let outcome = try fixture.outcome("i >= 0 && i < 4", "i > 0 && i < 4")
        let patch = try #require(outcome.patch)
        #expect(patch.image.constants.count == 8)
        try exercise(
            [("first.c", "i >= 0 && i < 4", "i > 0 && i < 4")], before: { $0.text("name_of", 0) == "zero" },
            after: { $0.text("name_of", 0) == "unknown" })
    }

    @Test("A variable of a function goes on counting")
    func variable() throws {
        let fixture = try Self.fixture.get()
        let patch = try #require(try fixture.outcome("calls += 2", "calls += 3").patch)
        let loaded = try LoadedPatch(library: fixture.library, patch: patch)
        defer { loaded.close() }
        let first = loaded.call("count_others", 0)
        #expect(loaded.call("count_others", 0) == first + 2)
        try loaded.jump(toGates: false)
        #expect(loaded.call("count_others", 0) == first + 5)
        try loaded.undo()
        #expect(loaded.call("count_others", 0) == first + 7)
    }

    @Test("A static function, called from where nothing changed; its address stays the old one")
    func staticFunction() throws {
        let fixture = try Self.fixture.get()
        let patch = try #require(try fixture.outcome("second_function(x) + counter;", "second_function(x) * 2;").patch)
        let loaded = try LoadedPatch(library: fixture.library, patch: patch)
        defer { loaded.close() }
        let pointer = loaded.pointer("function_pointer")
        try loaded.jump(toGates: false)
        #expect(loaded.call("caller", 4) == 51)
        #expect(loaded.pointer("function_pointer") == pointer)
        try loaded.undo()
    }

    @Test("A function with a cold part")
    func coldPart() throws {
        try exercise(
            [("first.c", "*p + other_helper(*p)", "*p + 1000")],
            before: { $0.call("with_cold_part", pointingTo: 5) != 1005 },
            after: { $0.call("with_cold_part", pointingTo: 5) == 1005 })
    }

    @Test("Constants of the compiler, tables and variables of the library")
    func constants() throws {
        try exercise(
            [("first.c", "x * 3.25", "x * 3.5"), ("first.c", "i < 8; i++", "i < 7; i++")],
            before: { $0.real("scale", 2) == 11.5 && $0.call("sum_table", 8) == 740 },
            after: { $0.real("scale", 2) == 12 && $0.call("sum_table", 8) == 500 })
    }

    @Test("A new static function with a new string, called by the changed one")
    func newFunction() throws {
        try exercise(
            [
                (
                    "first.c", "const char *name_of(int i) { return i >= 0",
                    "static __attribute__((noinline)) const char *fresh(int i) { return i == 9 ? \"nine\" : own_name_of(i); }\n"
                        + "const char *name_of(int i) { if (i > 8) return fresh(i); return i >= 0"
                ),
                (
                    "first.c", "static __attribute__((noinline)) const char *fresh",
                    "static __attribute__((noinline)) const char *own_name_of(int i) { return i == 10 ? \"ten\" : \"many\"; }\n"
                        + "static __attribute__((noinline)) const char *fresh"
                ),
            ],
            before: { $0.text("name_of", 9) == "unknown" && $0.text("name_of", 1) == "one" },
            after: {
                $0.text("name_of", 9) == "nine" && $0.text("name_of", 10) == "ten" && $0.text("name_of", 11) == "many"
                    && $0.text("name_of", 1) == "one"
            })
    }

    @Test("Functions that call each other, directly and by stubs")
    func pair() throws {
        try exercise(
            [
                ("first.c", "pair_a(x - 1) + 2", "pair_a(x - 1) + 20"),
                ("first.c", "pair_b(x - 1) + 4", "pair_b(x - 1) + 40"),
            ],
            before: { $0.call("pair_a", 4) == 15 }, after: { $0.call("pair_a", 4) == 123 })
    }

    @Test("A function of the library that nothing of it called before, and one that is only in the GOT")
    func newCallee() throws {
        try exercise(
            [
                ("first.c", "x * 3 + 4", "x * 3 + second_caller(x)"),
                ("first.c", "extern int second_value;", "extern int second_value; extern int second_caller(int);"),
            ],
            before: { $0.call("alone", 2) == 10 }, after: { $0.call("alone", 2) == 6 + 9 + 12 })
    }
}
