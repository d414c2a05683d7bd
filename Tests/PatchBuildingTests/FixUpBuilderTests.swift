//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import PatchBuilding
import Testing

/// Data that the author of a recipe sets, by the names of the source.
@Suite("Fix-ups of a recipe", .serialized)
struct FixUpBuilderTests {
    private static let fixture = Result { try MatchingFixture(FixtureSources.both) }

    private static func fixUp(
        _ symbol: String, _ offset: Int = 0, size: FixUp.Size = .four, from: RequestedFixUp.Value = .number(20),
        to: RequestedFixUp.Value = .number(21)
    ) -> RequestedFixUp {
        RequestedFixUp(
            symbol: symbol, offset: offset, size: size, from: from, to: to, because: "we have looked",
            place: "x.yaml:9")
    }

    private func outcome(
        _ fixUps: [RequestedFixUp], edit: (file: String, old: String, new: String)? = nil, waivers: [Waiver] = []
    ) throws -> Outcome {
        try Self.fixture.get().outcome(
            [edit ?? ("first.c", "x * 3 + 4", "x * 3 + 5")], waivers: waivers, fixUps: fixUps)
    }

    @Test("A constant, a variable and an exported datum are found, and need quiescence")
    func found() throws {
        let outcome = try outcome([
            Self.fixUp("settings", 4), Self.fixUp("counter", from: .number(0), to: .number(0xffff_ffff)),
            Self.fixUp("second_value", from: .number(21), to: .number(22)),
            Self.fixUp(
                "first_value", size: .two, from: .number(7), to: .number(8)),
        ])
        #expect(outcome.judgement.reasons.map(\.code) == [.dataFixups])
        let patch = try #require(outcome.patch)
        #expect(patch.verdict == .quiescent)
        #expect(patch.provenance.reasons.count == 1)
        let truth = try Self.fixture.get().symbolTable()
        let address = { (name: String) throws -> UInt64 in try #require(truth[name]) }
        #expect(
            patch.fixUps == [
                FixUp(
                    name: "settings+4", address: try address("settings") + 4, size: .four, from: .number(20),
                    to: .number(21), because: "we have looked"),
                FixUp(
                    name: "counter", address: try address("counter"), size: .four, from: .number(0),
                    to: .number(0xffff_ffff), because: "we have looked"),
                FixUp(
                    name: "second_value", address: try address("second_value"), size: .four, from: .number(21),
                    to: .number(22), because: "we have looked"),
                FixUp(
                    name: "first_value", address: try address("first_value"), size: .two, from: .number(7),
                    to: .number(8), because: "we have looked"),
            ])
        try patch.validate()
    }

    @Test("An address is that of the old function, or of a datum with an offset")
    func addresses() throws {
        let source = """
            static int number = 3;
            static int first(int x) { return x * 3 + 1000; }
            static int second(int x) { return x + number; }
            static int (*method)(int) = first;
            static int *place = &number;
            int call(int x) { return method(x) + *place; }
            int pick(int x) { if (x) { method = second; place = 0; } return x * 3; }
            """
        let fixture = try MatchingFixture([("one.c", source)])
        defer { fixture.remove() }
        let outcome = try fixture.outcome(
            [("one.c", "x * 3 + 1000", "x * 3 + 1007")],
            fixUps: [
                Self.fixUp(
                    "method", size: .eight, from: .address(symbol: "first", offset: 0),
                    to: .address(symbol: "second", offset: 0)),
                Self.fixUp(
                    "place", size: .eight, from: .address(symbol: "number", offset: 0),
                    to: .address(symbol: "number", offset: 4)),
            ])
        let patch = try #require(outcome.patch, "\(outcome.judgement)")
        let truth = try fixture.symbolTable()
        let address = { (name: String) throws -> UInt64 in try #require(truth[name]) }
        #expect(patch.fixUps[0].from == .address(.target(try address("first"))))
        #expect(patch.fixUps[0].to == .address(.target(try address("second"))))
        #expect(patch.fixUps[1].to == .address(.target(try address("number") + 4)))
    }

    @Test("A table that only another object uses is told by its functions, if there is one such table")
    func tables() throws {
        let one = { (more: String) in
            """
            __attribute__((noinline)) static int first(int x) { return x * 3 + 1000; }
            __attribute__((noinline)) static int second(int x) { return x * 7 + 2000; }
            int checks(int x) { int r = 40; for (int i = 1; i < x; i++) r = r * 31 + (i ^ x); return r + first(x); }
            #define HIDDEN __attribute__((visibility("hidden")))
            HIDDEN extern const struct { long number; int (*methods[2])(int); } table;
            const typeof(table) table = { 5, { first, second } };
            \(more)
            """
        }
        let user = """
            extern const struct { long number; int (*methods[2])(int); } table __attribute__((visibility("hidden")));
            int use(int x) { return table.methods[x & 1](x) + (int)table.number; }
            """
        func build(_ more: String) throws -> (Outcome, UInt64) {
            let fixture = try MatchingFixture([("one.c", one(more)), ("two.c", user)])
            defer { fixture.remove() }
            let outcome = try LivePatchFactory.makePatch(
                shipped: fixture.shipped,
                // The other object is not affected, so it was not rebuilt.
                objects: [try fixture.objects(["one.c": one(more).replacing("x * 3", with: "x * 5")])[0]],
                description: MatchingFixture.description,
                fixUps: [
                    Self.fixUp(
                        "table", 16, size: .eight, from: .address(symbol: "second", offset: 0),
                        to: .address(symbol: "first", offset: 0))
                ])
            return (outcome, try #require(try fixture.symbolTable()["table"]))
        }
        let (outcome, address) = try build("")
        #expect(outcome.patch?.fixUps.map(\.address) == [address + 16], "\(outcome.judgement)")
        // Not the same numbers beside them, and not a part of a longer one.
        let (apart, place) = try build(
            "HIDDEN const typeof(table) other = { 6, { first, second } }; HIDDEN int (*const more[])(int) = {first, second, first};"
        )
        #expect(apart.patch?.fixUps.map(\.address) == [place + 16])
        let error = try #require(throws: PatchBuildingError.self) {
            try build("HIDDEN const typeof(table) other = { 5, { first, second } };")
        }
        #expect(error.reason.contains("no address is known"), "\(error)")
    }

    @Test(
        "What does not fit the target is an error with its place",
        arguments: [
            (fixUp("nowhere"), "nowhere"), (fixUp("helper"), "function"), (fixUp("settings", 16), "not inside"),
            (fixUp("settings", 14), "not inside"), (fixUp("settings", -4), "not inside"),
            (fixUp("settings", Int.max), "not inside"), (fixUp("settings", 2), "aligned"),
            (fixUp("settings", 4, from: .number(19)), "0x14"),
            (fixUp("settings", 4, size: .one, from: .number(20), to: .number(256)), "more than 1"),
            (fixUp("names", 8, size: .eight), "holds an address"),
            (fixUp("settings", 8, size: .eight, from: .address(symbol: "alone", offset: 0)), "no address"),
            (fixUp("settings", 8, from: .address(symbol: "alone", offset: 0)), "8 bytes"),
            (fixUp("counter", to: .number(20)), "changes nothing"),
            (fixUp("settings", 8, size: .eight, from: .number(0), to: .address(symbol: "alone", offset: 4)), "0x"),
        ])
    func refused(_ request: RequestedFixUp, _ word: String) throws {
        let error = try #require(throws: PatchBuildingError.self) { try outcome([request]) }
        #expect(error.code == .unusableFixup)
        #expect(error.reason.hasPrefix("x.yaml:9: the fix-up of \(request.symbol)"), "\(error)")
        #expect(error.reason.contains(word), "\(error)")
    }

    @Test("A datum is set once; data alone are no patch; two of one name cannot be told apart")
    func together() throws {
        let twice = [
            Self.fixUp("settings", 4), Self.fixUp("settings", 6, size: .two, from: .number(0), to: .number(1)),
        ]
        #expect(throws: PatchBuildingError.self) { try outcome(twice) }
        let waiver = Waiver(.changedData, subject: "table", because: "we have looked", place: "x.yaml:7")
        let alone = try #require(throws: PatchBuildingError.self) {
            try outcome(
                [Self.fixUp("settings", 4)], edit: ("first.c", "{3, 1, 4, 1,", "{3, 1, 4, 2,"), waivers: [waiver])
        }
        #expect(alone.code == .unusableFixup)
        let nothing = try #require(throws: PatchBuildingError.self) {
            try outcome([Self.fixUp("settings", 4)], edit: ("first.c", "x * 3 + 4", "x * 3 + 4"))
        }
        #expect(nothing.code == .unusableFixup)
        let source = { (name: String) in
            """
            static const int values[] = {1, 20, 3};
            int \(name)(int i) { return values[i & 1] + 1; }
            """
        }
        let fixture = try MatchingFixture([("a.c", source("a")), ("b.c", source("b"))])
        defer { fixture.remove() }
        let several = try #require(throws: PatchBuildingError.self) {
            try fixture.outcome(
                ["a", "b"].map { ("\($0).c", "& 1] + 1", "& 1] + 2") }, fixUps: [Self.fixUp("values", 4)])
        }
        #expect(several.reason.contains("several"))
    }

    @Test("Where data are set, an old function with a cold part is for a person to judge")
    func splitFunction() throws {
        let outcome = try outcome(
            [Self.fixUp("settings", 4)], edit: ("first.c", "second_hidden(77)", "second_hidden(78)"))
        #expect(outcome.judgement.reasons.map(\.code) == [.dataFixups, .splitFunction])
        #expect(outcome.judgement.word == "review")
    }
}
