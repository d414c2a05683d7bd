//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import LivePatch
import Mutation
import PatchBuilding
import Testing

/// Changes of sources, made at random from a seed, and what the builder says of them, held against what the changed
/// library does when it is built anew.
@Suite("Mutations of the fixture", .serialized)
struct MutationTests {
    static let counts: [(MutationClass, Int)] = [
        (.constant, 34), (.condition, 21), (.call, 20), (.fieldOrder, 10), (.initialiser, 16), (.signature, 12),
        (.inlineFunction, 11), (.comment, 9), (.whitespace, 9), (.renamedLocal, 9), (.movedFunction, 9),
    ]

    private static let calls: [PatchDriver.Step] = MutableSources.exported.flatMap { name in
        [-3, 0, 1, 4, 5, 6, 10, 17, 31, 100].map { PatchDriver.Step.call(name, $0) }
    }

    @Test("Nothing that matters is called automatic, and what changes nothing is empty")
    func confusion() throws {
        let fixture = try SourceFixture(MutableSources.files)
        defer { fixture.remove() }
        let old = try PatchDriver.run(fixture.target, kind: .library, Self.calls, in: fixture.directory)
        #expect(old.count == Self.calls.count)
        var mutator = Mutator()
        let mutants = mutator.mutants(Self.counts)
        #expect(mutants.count == Self.counts.reduce(0) { $0 + $1.1 })
        let rows = try Concurrently.map(mutants) { try Self.judge($0, fixture: fixture, old: old) }
        var table = ConfusionTable()
        table.rows = rows
        for row in rows where row.grade == .careless {
            Issue.record("\(row.kind.rawValue): \(row.verdict): \(row.text)")
        }
        for row in rows where row.grade == .tooCareful {
            print("too careful:", row.kind.rawValue, row.verdict, row.text)
        }
        // Were all refused, nothing would be careless either.
        #expect(rows.count { $0.grade == .right && ["automatic", "quiescent"].contains($0.verdict) } >= 70)
        #expect(rows.count { $0.grade == .tooCareful } <= 16)
        try MutationPage.check(table, mark: "fixture")
    }

    /// Builds the patch of a change, and grades the verdict by what it does.
    private static func judge(_ mutant: Mutant, fixture: SourceFixture, old: [String]) throws -> ConfusionTable.Row {
        let outcome = try fixture.outcome(mutant.files)
        let verdict = outcome.judgement.word
        let rebuilt = try fixture.rebuilt(mutant.files)
        defer { try? FileManager.default.removeItem(at: rebuilt.deletingLastPathComponent()) }
        let row = { (grade: Grade, why: String) in
            ConfusionTable.Row(
                kind: mutant.kind, verdict: verdict, grade: grade,
                text:
                    "\(mutant.text): \(why): \(outcome.functions.map(\.name)) \(outcome.judgement.reasons.map(\.text))")
        }
        let isSame = try sameContents(fixture.unstripped, rebuilt, in: fixture.directory)
        if isSame { return row(verdict == "empty" ? .right : .tooCareful, "the same library") }
        let new = try PatchDriver.run(rebuilt, kind: .library, calls, in: fixture.directory)
        switch outcome.judgement {
        case .empty:
            // Other places of the same functions are no change; other results are.
            return row(mutant.kind.isControl && new == old ? .right : .careless, "not seen")
        case .automatic, .quiescent:
            if mutant.kind.isNeverAutomatic { return row(.careless, "a person must look") }
            if mutant.kind == .signature, verdict == "automatic" {
                return row(.careless, "callers must change with it")
            }
            guard let patch = outcome.patch else { return row(.careless, "there is no patch") }
            let names = Set(patch.entries.map { String($0.name.prefix { $0 != "." }) })
            if !mutant.mayChange.isEmpty, !names.isSubset(of: mutant.mayChange) {
                return row(.careless, "another function was changed")
            }
            let patched = try PatchDriver.run(
                fixture.target, kind: .library, patch: patch, [.jumps] + calls, in: fixture.directory)
            if patched != new { return row(.careless, "the patched library does otherwise") }
            return row(mutant.kind.isControl ? .tooCareful : .right, "as built anew")
        case .review, .impossible:
            return row(mutant.kind.isNeverAutomatic || mutant.kind == .signature ? .right : .tooCareful, "refused")
        }
    }

    /// Whether two libraries have the same code and data, whatever debug information and build-id they have.
    private static func sameContents(_ first: URL, _ second: URL, in directory: URL) throws -> Bool {
        let contents = try [first, second].map { file in
            let output = directory.appendingPathComponent("contents-" + UUID().uuidString)
            defer { try? FileManager.default.removeItem(at: output) }
            try CommandLineTool.run(
                ["objcopy", "--strip-all", "--remove-section=.note.gnu.build-id", file.path, output.path], in: directory
            )
            return try Data(contentsOf: output)
        }
        return contents[0] == contents[1]
    }
}

/// Work on all cores.
enum Concurrently {
    private final class Results<Element>: @unchecked Sendable {
        private let lock = NSLock()
        private var results: [Int: Result<Element, any Error>] = [:]
        func set(_ index: Int, _ result: Result<Element, any Error>) { lock.withLock { results[index] = result } }
        func get(_ count: Int) throws -> [Element] {
            try lock.withLock { try (0..<count).compactMap { try results[$0]?.get() } }
        }
    }

    /// The results in the order of the elements.
    static func map<Element: Sendable, Output>(
        _ elements: [Element], _ body: @Sendable (Element) throws -> Output
    ) throws -> [Output] {
        let results = Results<Output>()
        DispatchQueue.concurrentPerform(iterations: elements.count) { index in
            results.set(index, Result { try body(elements[index]) })
        }
        return try results.get(elements.count)
    }
}

/// `Documentation/mutations.md`, which is written by the tests.
enum MutationPage {
    static let path =
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Documentation/mutations.md")

    /// Compares the page with a table, or writes it where `MOULT_RECORD_MUTATIONS` is set.
    static func check(_ table: ConfusionTable, mark: String) throws {
        let page = String(decoding: try Data(contentsOf: path), as: UTF8.self)
        let wanted = try #require(table.page(page, mark: mark))
        if ProcessInfo.processInfo.environment["MOULT_RECORD_MUTATIONS"] != nil {
            try Data(wanted.utf8).write(to: path)
        } else {
            #expect(page == wanted, "MOULT_RECORD_MUTATIONS=1 writes it")
        }
    }
}
