//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import FoundationEssentials
import LivePatch
import PatchBuilding
import TestSupport
import Testing

/// A fix that splits a function which two slots of a table share. A machine that only looks at code would give both
/// slots the new function, close the hole, and break what the other slot is for. From recipe to running process: what
/// becomes of it without its author's help, and with each kind of it.
@Suite("Two slots of a table that share a function", .serialized) struct CounterExampleTests {
    // MARK: The library

    private static let base = [
        "include/methods.h": """
        struct session { int sum, tag, is_whole; };
        struct methods {
            int (*update)(struct session *session, const int *value);
            int (*last)(struct session *session, const int *value);
        };
        extern const struct methods methods __attribute__((visibility("hidden")));

        """,
        "src/one.c": """
        #include "methods.h"
        static int absorb(struct session *session, const int *value)
        {
            if (value) session->sum += *value;
            return 1;
        }
        int checks(int number)
        {
            int sum = 40;
            for (int i = 1; i < number; i++) sum = sum * 31 + (i ^ number);
            return sum;
        }
        const struct methods methods = { absorb, absorb };

        """,
        // 0: the right tag; 1: a wrong one; 2: nothing more to add, which is no end.
        "src/two.c": """
        #include <stdlib.h>
        #include "methods.h"
        static struct methods *copy;
        static int ask(const struct methods *with, int question)
        {
            struct session session = { 0, 5, question != 2 };
            int value = question ? 4 : 5;
            if (question == 2) return with->update(&session, &value) && with->update(&session, 0);
            return with->last(&session, &value) && with->last(&session, 0);
        }
        int direct(int question) { return ask(&methods, question); }
        int copied(int question)
        {
            if (!copy) {
                copy = malloc(sizeof *copy);
                *copy = methods;
            }
            return ask(copy, question);
        }

        """,
    ]

    private static let changes = [
        "src/one.c": """
        #include "methods.h"
        static int absorb_some(struct session *session, const int *value)
        {
            if (value) session->sum += *value;
            return 1;
        }
        static int absorb(struct session *session, const int *value)
        {
            if (!value) return session->sum == session->tag;
            session->sum += *value;
            return 1;
        }
        int checks(int number)
        {
            int sum = 40;
            for (int i = 1; i < number; i++) sum = sum * 31 + (i ^ number);
            return sum;
        }
        const struct methods methods = { absorb_some, absorb };

        """
    ]

    /// The table stays; which use is meant, the session tells.
    private static let adapted = """
        --- a/src/one.c
        +++ b/src/one.c
        @@ -1,19 +1,14 @@
         #include "methods.h"
        -static int absorb_some(struct session *session, const int *value)
        -{
        -    if (value) session->sum += *value;
        -    return 1;
        -}
         static int absorb(struct session *session, const int *value)
         {
        -    if (!value) return session->sum == session->tag;
        +    if (!value) return !session->is_whole || session->sum == session->tag;
             session->sum += *value;
             return 1;
         }
         int checks(int number)
         {
             int sum = 40;
             for (int i = 1; i < number; i++) sum = sum * 31 + (i ^ number);
             return sum;
         }
        -const struct methods methods = { absorb_some, absorb };
        +const struct methods methods = { absorb, absorb };

        """

    private static let waiver = Waiver(
        .changedData, subject: "methods", because: "nobody copies the table", place: "x.yaml:1")

    private static func fixUp(from: String = "absorb", to: String = "absorb_some") -> RequestedFixUp {
        RequestedFixUp(
            symbol: "methods", offset: 0, size: .eight, from: .address(symbol: from, offset: 0),
            to: .address(symbol: to, offset: 0), because: "absorb_some does what absorb did", place: "x.yaml:5")
    }

    // MARK: From recipe to process

    /// What a fix comes to, and the library that it is for.
    private func build(
        in directory: String, adapted: Bool = false, waivers: [Waiver] = [], fixUps: [RequestedFixUp] = []
    ) async throws -> (outcome: Outcome, library: String) {
        let plume = try await PlumePackage(in: directory, base: Self.base, changes: Self.changes)
        var recipe = plume.recipe(["src/one.c"])
        if adapted {
            let path = directory + "/keep.patch"
            try Data(Self.adapted.utf8).write(to: URL(filePath: path))
            recipe.adaptation = Recipe.Adaptation(name: "keep.patch", path: path, because: "the table stays")
        }
        let full = try await FixPreparation.open(
            recipe: recipe, build: plume.build, cache: plume.cache, mode: .full)
        let prepared = try await FixPreparation.prepare(recipe: recipe, build: plume.build, cache: plume.cache)
        let library = try [UInt8](Data(contentsOf: URL(filePath: full.linkedPath)))
        let outcome = try LivePatchFactory.makePatch(
            shipped: library, objects: prepared.objects,
            description: PatchDescription(
                identifier: "FIX", targetName: "libplume.so.1", package: "libplume1", packageVersion: "1.0-1",
                provenance: Provenance(
                    cves: [], partOf: "", source: "plume", suite: "plumage", vulnerableVersion: "1.0-1",
                    fixedVersion: "1.1", reasons: [],
                    adaptation: recipe.adaptation.map { .init(name: $0.name, because: $0.because) },
                    inputs: prepared.inputs)),
            touchedHeaders: prepared.touchedHeaders, waivers: waivers, fixUps: fixUps)
        return (outcome, full.linkedPath)
    }

    /// Applies a patch to a running program and takes it out again.
    private func exercise(
        _ patch: Patch, library: String, directory: String,
        applied: (_ direct: [Int32], _ copied: [Int32]) -> Void
    ) throws {
        let program = try AskingProgram(library: library, directory: directory)
        #expect(program.answers() == .init(direct: [1, 1, 1], copied: [1, 1, 1]))
        let slots = patch.fixUps.map { program.word(at: $0.address) }
        let file = directory + "/FIX.moult"
        try Data(try PatchWriter.write(patch) { SHA256.digest(of: $0).bytes }).write(to: URL(filePath: file))
        let applier = try KillHarness.executable("moult-applier")
        let pid = "\(program.pid)"
        for _ in 0..<2 {
            var run = try Command.run(applier, ["apply", file, "--pid", pid, "--timeout", "30"])
            #expect(run.status == 0, "\(run.output)")
            let answers = program.answers()
            applied(answers.direct, answers.copied)
            #expect(try Command.run(applier, ["verify", file, "--pid", pid]).status == 0)
            for (fixUp, slot) in zip(patch.fixUps, slots) { #expect(program.word(at: fixUp.address) != slot) }
            run = try Command.run(applier, ["undo", "FIX", "--pid", pid, "--timeout", "30"])
            #expect(run.status == 0, "\(run.output)")
            #expect(program.answers() == .init(direct: [1, 1, 1], copied: [1, 1, 1]))
            #expect(patch.fixUps.map { program.word(at: $0.address) } == slots)
        }
    }

    @Test("Without the author's help a person must decide") func alone() async throws {
        try await withTemporaryDirectory { directory in
            let outcome = try await build(in: directory).outcome
            #expect(outcome.judgement.word == "review")
            #expect(outcome.judgement.reasons.map(\.code) == [.changedData])
            #expect(outcome.judgement.reasons.map(\.subject) == ["methods"])
            #expect(outcome.patch == nil)
        }
    }

    @Test("A waiver alone closes the hole and breaks the other use: that is what its sentence answers for")
    func waived() async throws {
        try await withTemporaryDirectory { directory in
            let (outcome, library) = try await build(in: directory, waivers: [Self.waiver])
            #expect(outcome.judgement == .automatic)
            try exercise(try #require(outcome.patch), library: library, directory: directory) { direct, copied in
                #expect(direct == [1, 0, 0])
                #expect(copied == [1, 0, 0])
            }
        }
    }

    @Test("With a fix-up of the slot both uses are right; a copy of the table it does not reach")
    func fixedUp() async throws {
        try await withTemporaryDirectory { directory in
            let (outcome, library) = try await build(
                in: directory, waivers: [Self.waiver], fixUps: [Self.fixUp()])
            #expect(outcome.judgement.word == "quiescent")
            #expect(outcome.judgement.reasons.map(\.code) == [.dataFixups])
            let patch = try #require(outcome.patch)
            #expect(patch.verdict == .quiescent)
            #expect(patch.fixUps.map(\.name) == ["methods"])
            #expect(patch.fixUps.map(\.because) == ["absorb_some does what absorb did"])
            #expect(patch.symbols.contains { .address($0.place) == patch.fixUps[0].to && $0.name == "absorb_some" })
            try exercise(patch, library: library, directory: directory) { direct, copied in
                #expect(direct == [1, 0, 1])
                // What the waiver's sentence denies, and this program does.
                #expect(copied == [1, 0, 0])
            }
        }
    }

    @Test("With an adapted source both uses are right, in the table and in copies of it")
    func adapted() async throws {
        try await withTemporaryDirectory { directory in
            let (outcome, library) = try await build(in: directory, adapted: true)
            #expect(outcome.judgement == .automatic, "\(outcome.judgement)")
            let patch = try #require(outcome.patch)
            #expect(patch.provenance.adaptation?.name == "keep.patch")
            try exercise(patch, library: library, directory: directory) { direct, copied in
                #expect(direct == [1, 0, 1])
                #expect(copied == [1, 0, 1])
            }
        }
    }

    @Test("What the slot holds is known, and compared") func mismatch() async throws {
        try await withTemporaryDirectory { directory in
            let error = try await #require(throws: PatchBuildingError.self) {
                try await build(
                    in: directory, waivers: [Self.waiver], fixUps: [Self.fixUp(from: "direct", to: "absorb")])
            }
            #expect(error.code == .unusableFixup)
            #expect(error.reason.hasPrefix("x.yaml:5: the fix-up of methods: it holds the address"), "\(error)")
        }
    }
}
