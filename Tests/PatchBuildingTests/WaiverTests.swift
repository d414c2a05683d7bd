//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import PatchBuilding
import Testing

/// Reasons that the author of a recipe answers for.
@Suite("Waivers", .serialized)
struct WaiverTests {
    private static let fixture = Result { try MatchingFixture(FixtureSources.both) }

    private typealias Edit = (file: String, old: String, new: String)

    private static let table: Edit = ("first.c", "{3, 1, 4, 1, 5, 9, 2, 6}", "{3, 1, 4, 1, 5, 9, 2, 7}")
    private static let longer: Edit = ("first.c", "{3, 1, 4, 1, 5, 9, 2, 6}", "{3, 1, 4, 1, 5, 9, 2, 6, 8}")
    private static let settings: Edit = ("first.c", "settings[4] = {10,", "settings[4] = {11,")
    /// The sum is one more.
    private static let sum: Edit = ("first.c", "return sum;", "return sum + 1;")
    private static let alone: Edit = ("first.c", "x * 3 + 4", "x * 3 + 5")

    private static func waiver(
        _ code: Reason.Code, _ subject: String, object: String = "", use: Provenance.DataUse? = nil
    ) -> Waiver {
        Waiver(code, subject: subject, object: object, use: use, because: "we have looked", place: "x.yaml:7")
    }

    private func outcome(_ edits: [Edit], headers: [String] = [], _ waivers: [Waiver]) throws -> Outcome {
        try Self.fixture.get().outcome(edits, headers: headers, waivers: waivers)
    }

    private func fault(_ edits: [Edit], _ waivers: [Waiver]) throws -> PatchBuildingError {
        try #require(throws: PatchBuildingError.self) { try outcome(edits, waivers) }
    }

    /// What the patched library of the fixture answers.
    private func answers<Answer>(_ patch: Patch?, _ ask: (LoadedPatch) throws -> Answer) throws -> Answer {
        let loaded = try LoadedPatch(library: Self.fixture.get().library, patch: try #require(patch))
        defer { loaded.close() }
        try loaded.jump(toGates: false)
        let answer = try ask(loaded)
        try loaded.undo()
        return answer
    }

    @Test("A waived reason hinders no more, and stands in the patch with its sentence")
    func waived() throws {
        #expect(try outcome([Self.table, Self.sum], []).judgement.word == "review")
        let outcome = try outcome([Self.table, Self.sum], [Self.waiver(.changedData, "table")])
        #expect(outcome.judgement == .automatic)
        #expect(outcome.waived.map(\.reasons.count) == [1])
        let patch = try #require(outcome.patch)
        #expect(patch.provenance.reasons.isEmpty)
        #expect(
            patch.provenance.waivers == [
                Provenance.Waiver(
                    reason: "changed-data", object: "", subject: "table", use: .old, because: "we have looked")
            ])
    }

    @Test("New functions use the target's datum, or a copy with the new contents, as the author says")
    func contents() throws {
        // The sum of table[i] * settings[i & 3] is 740; one more in the table's last element is 40 more.
        let old = try outcome([Self.table, Self.sum], [Self.waiver(.changedData, "table")]).patch
        #expect(try answers(old) { $0.call("sum_table", 8) } == 741)
        let new = try outcome([Self.table, Self.sum], [Self.waiver(.changedData, "table", use: .new)]).patch
        #expect(try answers(new) { $0.call("sum_table", 8) } == 781)
        #expect(new?.provenance.waivers.first?.use == .new)
        #expect(new?.image.constants.count == old.map { $0.image.constants.count + 8 })
    }

    @Test("A variable goes on with what it holds")
    func variable() throws {
        let edits: [Edit] = [
            ("first.c", "first_value = 7", "first_value = 9"),
            ("first.c", "return first_value;", "return first_value * 2;"),
        ]
        let patch = try outcome(edits, [Self.waiver(.changedData, "first_value")]).patch
        #expect(try answers(patch) { $0.call("jump_table", 4) } == 14)
    }

    @Test("A waiver for one subject does not waive another")
    func another() throws {
        let outcome = try outcome([Self.table, Self.settings, Self.sum], [Self.waiver(.changedData, "table")])
        #expect(outcome.judgement.word == "review")
        #expect(outcome.judgement.reasons.map(\.subject) == ["settings"])
        #expect(outcome.waived.map(\.waiver.subject) == ["table"])
        #expect(outcome.patch == nil)
        // Nor does one for another reason.
        #expect(try fault([Self.table, Self.sum], [Self.waiver(.removedData, "table")]).code == .unusedWaiver)
    }

    @Test("What is left decides")
    func rest() throws {
        let pair: [Edit] = [
            Self.table, ("first.c", "pair_a(x - 1) + 2", "pair_a(x - 1) + 20"),
            ("first.c", "pair_b(x - 1) + 4", "pair_b(x - 1) + 40"),
        ]
        let outcome = try outcome(pair, [Self.waiver(.changedData, "table")])
        #expect(outcome.judgement.reasons.map(\.code) == [.functionsDependOnEachOther])
        #expect(outcome.patch?.verdict == .quiescent)
        // A table alone is no patch: nothing of the target changes.
        let none = try self.outcome([Self.table], [Self.waiver(.changedData, "table")])
        #expect(none.judgement == .empty)
        #expect(none.patch == nil)
        #expect(none.waived.count == 1)
    }

    @Test("A waiver that no reason needs is an error, with its place")
    func unused() throws {
        for edits in [[Self.sum], []] {
            let error = try fault(edits, [Self.waiver(.changedData, "table")])
            #expect(error.code == .unusedWaiver)
            #expect(error.reason.hasPrefix("x.yaml:7: "))
            #expect(error.reason.contains("changed-data for table"))
        }
        // The same one again finds nothing left.
        let twice = [Self.waiver(.changedData, "table"), Self.waiver(.changedData, "table", object: "first.c")]
        #expect(try fault([Self.table, Self.sum], twice).code == .unusedWaiver)
    }

    @Test("What has no piece, or cannot be applied, cannot be waived")
    func notWaivable() throws {
        let edits: [Edit] = [("first.c", "x * 3 + 4", "x * 3 + getppid()")]
        #expect(try fault(edits, [Self.waiver(.unresolvedSymbol, "getppid")]).code == .unusableWaiver)
        for code in Reason.Code.allCases where Reason(code, "", "").weight != .review {
            #expect(!code.isWaivable, "\(code)")
        }
        for code in [
            Reason.Code.newWritableData, .threadLocalStorage, .exceptionHandling, .assembler, .indirectFunction,
            .notUnderstood, .prologueNotRelocatable,
        ] {
            #expect(!code.isWaivable, "\(code)")
        }
    }

    @Test("A datum that grew is used only where the author says which one")
    func grown() throws {
        let edits: [Edit] = [Self.longer, ("first.c", "n && i < 8", "n && i < 9")]
        let error = try fault(edits, [Self.waiver(.changedData, "table")])
        #expect(error.code == .unusableWaiver)
        #expect(error.reason.contains("grew from 8 to 9 bytes"))
        // The ninth element is 8, times 10.
        let new = try outcome(edits, [Self.waiver(.changedData, "table", use: .new)]).patch
        #expect(try answers(new) { $0.call("sum_table", 9) } == 820)
        let old = try outcome([Self.longer, Self.sum], [Self.waiver(.changedData, "table", use: .old)]).patch
        #expect(try answers(old) { $0.call("sum_table", 8) } == 741)
        // Where no new function refers to it there is nothing to say.
        let unused = try outcome([Self.longer, Self.alone], [Self.waiver(.changedData, "table")])
        #expect(unused.judgement == .automatic)
        #expect(
            try fault([Self.longer, Self.alone], [Self.waiver(.changedData, "table", use: .new)]).code
                == .unusableWaiver)
    }

    @Test("A reference beyond the end of the old datum is never bound to it")
    func beyond() throws {
        let edits: [Edit] = [
            Self.longer, ("first.c", "x * 3 + 4", "x * 3 + ((const volatile unsigned char *)table)[8]"),
        ]
        let error = try fault(edits, [Self.waiver(.changedData, "table", use: .old)])
        #expect(error.code == .unusableWaiver)
        #expect(error.reason.contains("byte 8"))
        let new = try outcome(edits, [Self.waiver(.changedData, "table", use: .new)]).patch
        #expect(try answers(new) { $0.call("alone", 2) } == 14)
    }

    @Test(
        "New contents are not copied where the copy would not be the datum",
        arguments: [
            ("counter", "static int counter;", "static int counter = 5;", "counter += x;", "counter -= x;"),
            ("names", "\"two\", \"three\"}", "\"two\", \"four\"}", "i >= 0 && i < 4", "i > 0 && i < 4"),
            ("first_value", "first_value = 7", "first_value = 8", "return first_value;", "return first_value + 1;"),
        ])
    func copies(datum: String, old: String, new: String, user: String, changed: String) throws {
        let edits: [Edit] = [("first.c", old, new), ("first.c", user, changed)]
        let error = try fault(edits, [Self.waiver(.changedData, datum, use: .new)])
        #expect(error.code == .unusableWaiver, "\(error)")
        #expect(try outcome(edits, [Self.waiver(.changedData, datum)]).patch != nil)
    }

    @Test("A datum on whose alignment new code may rely is not the old one")
    func alignment() throws {
        let edits: [Edit] = [
            ("first.c", "static int settings[4]", "static __attribute__((aligned(64))) int settings[4]"), Self.sum,
        ]
        let error = try fault(edits, [Self.waiver(.changedData, "settings", use: .old)])
        #expect(error.code == .unusableWaiver)
        #expect(error.reason.contains("alignment"))
    }

    @Test("Two data of one name in two objects: the author says which")
    func object() throws {
        let source = { (name: String) in
            """
            static const unsigned char table[] = {1, 2, 3, 4};
            int \(name)(int i) { return table[i & 3] + 1; }
            """
        }
        let fixture = try MatchingFixture([("a.c", source("a")), ("b.c", source("b"))])
        defer { fixture.remove() }
        let edits = ["a", "b"].flatMap { name -> [Edit] in
            [("\(name).c", "3, 4}", "3, 5}"), ("\(name).c", "& 3] + 1", "& 3] + 2")]
        }
        let error = try #require(throws: PatchBuildingError.self) {
            try fixture.outcome(edits, waivers: [Self.waiver(.changedData, "table")])
        }
        #expect(error.code == .unusableWaiver)
        #expect(error.reason.contains("a.c, b.c"))
        let one = try fixture.outcome(edits, waivers: [Self.waiver(.changedData, "table", object: "b.c", use: .new)])
        #expect(one.judgement.reasons.map(\.object) == ["a.c"])
        let both = try fixture.outcome(
            edits,
            waivers: [
                Self.waiver(.changedData, "table", object: "b.c", use: .new),
                Self.waiver(.changedData, "table", object: "a.c"),
            ])
        let loaded = try LoadedPatch(library: fixture.library, patch: try #require(both.patch))
        defer { loaded.close() }
        try loaded.jump(toGates: false)
        #expect(loaded.call("a", 3) == 6)
        #expect(loaded.call("b", 3) == 7)
        try loaded.undo()
    }

    @Test("A new constant that holds addresses comes along when a person has looked")
    func newAddresses() throws {
        let edits: [Edit] = [
            (
                "first.c", "const char *name_of(int i) { return i >= 0 && i < 4 ? names[i]",
                "static const char *const more[] = {\"naught\", \"single\", \"double\", \"triple\"};\n"
                    + "const char *name_of(int i) { return i >= 0 && i < 4 ? more[i]"
            )
        ]
        let outcome = try outcome(edits, [Self.waiver(.newDataWithAddresses, "more")])
        let patch = try #require(outcome.patch, "\(outcome.judgement)")
        // Of 32 bytes, so aligned to 32.
        let table = try #require(patch.symbols.first { $0.name == "more" })
        guard case .image(let offset) = table.place else { throw MatchingFixture.Failure(description: "no table") }
        #expect(table.size == 32 && offset % 32 == 0)
        #expect(try answers(patch) { $0.text("name_of", 3) } == "triple")
    }

    @Test("The address of a new function is given out when a person has looked")
    func newAddress() throws {
        let edits: [Edit] = [
            (
                "first.c", "int (*function_pointer(void))(int) { return helper; }",
                "static int fresh(int x) { return x + 9; }\nint (*function_pointer(void))(int) { return fresh; }"
            )
        ]
        let patch = try outcome(edits, [Self.waiver(.newFunctionAddress, "fresh")]).patch
        let sum = try answers(patch) { loaded -> Int32 in
            let address = try #require(UnsafeRawPointer(bitPattern: loaded.pointer("function_pointer")))
            return unsafeBitCast(address, to: (@convention(c) (Int32) -> Int32).self)(4)
        }
        #expect(sum == 13)
    }

    @Test("Removed functions and data, touched headers")
    func others() throws {
        let removed: Edit = ("first.c", "long length(const char *s) { return (long)strlen(s) + 1; }", "")
        #expect(try outcome([removed, Self.alone], [Self.waiver(.removedFunction, "length")]).judgement == .automatic)
        let datum: Edit = ("second.c", "int second_value = 21;", "")
        let user: Edit = ("second.c", "x + second_value", "x + 21")
        #expect(
            try outcome([datum, user], [Self.waiver(.removedData, "second_value")]).patch?.entries.map(\.name)
                == ["second_function"])
        // A touched header is a reason only without debug information.
        let header = try Self.fixture.get().outcome(
            [Self.alone], headers: ["a.h", "b.h"], flags: ["-ffunction-sections", "-fdata-sections", "-g0"],
            waivers: [Self.waiver(.headerTouched, "b.h")])
        #expect(header.judgement.reasons.map(\.subject) == ["a.h"])
    }
}
