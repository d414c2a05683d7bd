//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import PatchBuilding
import Testing

/// One library for all tests of this file: what differs is only the edit.
private enum Shared {
    static let fixture = Result { try MatchingFixture(FixtureSources.both) }
    static func outcome(_ old: String, _ new: String) throws -> Outcome { try fixture.get().outcome(old, new) }
    static func outcome(_ edits: [(file: String, old: String, new: String)]) throws -> Outcome {
        try fixture.get().outcome(edits)
    }
}

@Suite("What becomes of an edit")
struct JudgingTests {
    @Test("Unmodified source changes nothing")
    func unmodified() throws {
        let outcome = try Shared.outcome([])
        #expect(outcome.judgement == .empty)
        #expect(outcome.functions.isEmpty)
        #expect(outcome.patch == nil)
    }

    @Test("A comment and a moved function change nothing")
    func cosmetic() throws {
        #expect(try Shared.outcome("int alone(int x) {", "/* alone */ int alone(int x) {").judgement == .empty)
    }

    /// Ten edits of one token, and the function that each is in.
    static let edits: [(old: String, new: String, function: String)] = [
        ("x * 3 + 4", "x * 3 + 5", "alone"),
        ("case 3: return 99", "case 3: return 98", "switch_table"),
        ("return second_function(11)", "return second_function(12)", "jump_table"),
        ("puts(\"case one\")", "puts(\"case 1\")", "jump_table"),
        ("i < 4 ? names", "i < 3 ? names", "name_of"),
        ("calls += 2", "calls += 3", "count_others"),
        ("n && i < 8", "n && i < 7", "sum_table"),
        ("second_function(3)", "second_function(4)", "with_cold_part"),
        ("x * 3.25", "x * 3.5", "scale"),
        ("counter += x", "counter -= x", "helper"),
        ("return helper(x * 5) - 2", "return helper(x * 5) + 2", "other_helper"),
        ("strlen(s) + 1", "strlen(s) + 2", "length"),
        ("return jump_table; }", "return switch_table; }", "own_pointer"),
    ]

    @Test("An edit of one token is found in exactly its function", arguments: edits)
    func oneToken(old: String, new: String, function: String) throws {
        let outcome = try Shared.outcome(old, new)
        #expect(outcome.functions.map(\.name) == [function])
        #expect(
            outcome.judgement.word == (function == "own_pointer" ? "impossible" : "automatic"), "\(outcome.judgement)")
        let truth = try Shared.fixture.get().symbolTable()
        #expect(outcome.functions.first?.address == truth[function])
    }

    @Test("Variables of one function and one name are told apart by what they begin with, or not at all")
    func variablesOfOneName() throws {
        let told = try Shared.outcome("static int twin; return ++twin;", "static int twin; return --twin;")
        #expect(told.judgement == .automatic)
        #expect(told.functions.map(\.name) == ["two_counters"])
        let untold = try Shared.outcome("static int same; return ++same;", "static int same; return same += 2;")
        #expect(untold.judgement.word == "review")
        #expect(Set(untold.judgement.reasons.map(\.code)) == [.ambiguousName])
        #expect(try Shared.outcome("x * 3 + 4", "x * 3 + 5").judgement == .automatic)
    }

    @Test("A new static function comes along")
    func newFunction() throws {
        let outcome = try Shared.outcome([
            (
                "first.c", "int alone(int x) { return x * 3 + 4; }",
                "static __attribute__((noinline)) int limit(int x) { return x > 100 ? second_function(x) : x; }\n"
                    + "int alone(int x) { return limit(x) * 3 + 4; }"
            )
        ])
        #expect(outcome.functions.map(\.name) == ["alone", "limit"])
        #expect(outcome.judgement == .automatic)
        #expect(outcome.patch?.entries.map(\.name) == ["alone"])
        #expect(outcome.patch?.symbols.contains { $0.name == "limit" } == true)
    }

    @Test("Renumbered names of functions and variables are no change")
    func renumbered() throws {
        // A new function with __func__ and a variable before all others moves every number.
        let outcome = try Shared.outcome([
            (
                "first.c", "int jump_table(int x) {",
                "const char *added_name(void) { static int calls; return calls++ ? __func__ : \"\"; }\nint jump_table(int x) {"
            )
        ])
        #expect(outcome.functions.map(\.name) == ["added_name"])
        #expect(outcome.judgement == .empty)
    }

    @Test(
        "Changed data is for a person to judge",
        arguments: [
            ("settings[4] = {10,", "settings[4] = {11,", "settings"),
            ("\"two\", \"three\"}", "\"two\", \"four\"}", "names"),
            ("{3, 1, 4, 1,", "{3, 1, 4, 2,", "table"), ("first_value = 7", "first_value = 8", "first_value"),
        ])
    func changedData(old: String, new: String, datum: String) throws {
        let outcome = try Shared.outcome(old, new)
        #expect(outcome.judgement.word == "review")
        #expect(outcome.judgement.reasons.map(\.code) == [.changedData])
        #expect(outcome.judgement.reasons.map(\.subject) == [datum])
        #expect(outcome.patch == nil)
    }

    @Test(
        "What is not plainly safe has its reason",
        arguments: [
            ("return x * 3 + 4;", "static int seen; seen++; return x * 3 + seen;", Reason.Code.newWritableData),
            ("return x * 3 + 4;", "return x * 3 + getppid();", .unresolvedSymbol),
            ("return x * 3 + 4;", "static __thread int t; return x * 3 + t++;", .threadLocalStorage),
            ("return x * 3 + 4;", "extern int not_there; return x * 3 + not_there;", .unresolvedSymbol),
            (
                "int alone(int x) { return x * 3 + 4; }",
                "static int fresh(int x) { return x; }\nint (*volatile kept)(int);\nint alone(int x) { return fresh(x); }\n",
                .newWritableData
            ),
        ])
    func reasons(old: String, new: String, code: Reason.Code) throws {
        // A new variable that no code uses is no reason.
        let outcome = try Shared.outcome(old, new)
        if new.contains("kept") {
            #expect(outcome.judgement == .automatic)
        } else {
            #expect(outcome.judgement.reasons.first?.code == code, "\(outcome.judgement)")
            #expect(outcome.patch == nil)
        }
    }

    @Test("The address of a new function may outlive the patch")
    func newFunctionAddress() throws {
        let outcome = try Shared.outcome([
            (
                "first.c", "int (*function_pointer(void))(int) { return helper; }",
                "static int fresh(int x) { return x + 9; }\nint (*function_pointer(void))(int) { return fresh; }"
            )
        ])
        #expect(outcome.judgement.word == "review")
        #expect(outcome.judgement.reasons.map(\.code) == [.newFunctionAddress])
    }

    @Test("Two changed functions that call each other need quiescence")
    func dependent() throws {
        let outcome = try Shared.outcome([
            ("first.c", "pair_a(x - 1) + 2", "pair_a(x - 1) + 20"),
            ("first.c", "pair_b(x - 1) + 4", "pair_b(x - 1) + 40"),
        ])
        #expect(outcome.judgement.word == "quiescent")
        #expect(outcome.judgement.reasons.map(\.code) == [.functionsDependOnEachOther])
        let patch = try #require(outcome.patch)
        #expect(patch.verdict == .quiescent)
        #expect(patch.entries.count == 2)
        #expect(patch.entries.allSatisfy { $0.gate != nil })
        #expect(patch.provenance.reasons.count == 1)
    }

    @Test("Two changed functions that do not refer to each other are automatic")
    func independent() throws {
        let outcome = try Shared.outcome([
            ("first.c", "x * 3 + 4", "x * 3 + 5"), ("second.c", "atoi(\"12\")", "atoi(\"13\")"),
        ])
        #expect(outcome.judgement == .automatic)
        #expect(outcome.functions.map(\.name) == ["alone", "second_caller"])
        #expect(outcome.patch?.entries.count == 2)
    }

    @Test("Changed functions of two objects that refer to each other need quiescence")
    func dependentObjects() throws {
        let outcome = try Shared.outcome([
            ("first.c", "second_hidden(x) + 6", "second_hidden(x) + 7"),
            ("second.c", "x * 2 + hidden_value", "x * 4 + hidden_value"),
        ])
        #expect(outcome.judgement.word == "quiescent", "\(outcome.judgement)")
        #expect(outcome.functions.map(\.name) == ["hidden_caller", "second_hidden"])
    }

    @Test("Where quiescence is needed, an old function with a cold part is for a person to judge")
    func splitFunction() throws {
        let outcome = try Shared.outcome([
            ("first.c", "second_hidden(77)", "second_hidden(78)"),
            ("second.c", "x * 2 + hidden_value", "x * 4 + hidden_value"),
        ])
        #expect(outcome.judgement.reasons.map(\.code) == [.functionsDependOnEachOther, .splitFunction])
        #expect(outcome.judgement.word == "review")
    }

    @Test("The same inputs give the same patch")
    func deterministic() throws {
        let first = try Shared.outcome("second_function(11)", "second_function(12)")
        let second = try Shared.outcome("second_function(11)", "second_function(12)")
        #expect(first.patch != nil)
        #expect(first.patch == second.patch)
    }
}
