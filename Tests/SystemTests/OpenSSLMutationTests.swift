//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import LivePatch
import Mutation
import PatchBuilding
import Testing

/// Changes of single tokens in real sources, made at random from a seed. What differs is known from objdump, which is
/// asked about the objects before and after.
@Suite("Mutations of OpenSSL", .serialized)
struct OpenSSLMutationTests {
    static let counts: [(MutationClass, Int)] = [(.constant, 12), (.condition, 12), (.call, 8), (.comment, 8)]

    /// A change that is to be tried.
    private struct Attempt: Sendable {
        var kind: MutationClass
        /// The object, and other ones for the case that the first has no place for a change that compiles.
        var objects: [String]
        var seed: UInt64
    }

    @Test("No edit of a token is missed, and none is found elsewhere")
    func confusion() async throws {
        let build = try await WholeLibraryMatchingTests.openSurvey("libcrypto.so.3")
        let shipped = try ShippedTarget(build.shipped)
        var generator = SeededGenerator(seed: 20_260_102)
        let candidates = build.objectNames.filter { name in
            guard let source = build.source(ofObject: name) else { return false }
            return source.hasPrefix("crypto/") && source.hasSuffix(".c")
        }.sorted().shuffled(using: &generator)
        var attempts: [Attempt] = []
        var next = 0
        for (kind, count) in Self.counts {
            for _ in 0..<count {
                // No object is used twice.
                attempts.append(
                    Attempt(kind: kind, objects: Array(candidates[next..<(next + 6)]), seed: generator.next()))
                next += 6
            }
        }
        var rows = [ConfusionTable.Row?](repeating: nil, count: attempts.count)
        try await withThrowingTaskGroup(of: (Int, ConfusionTable.Row?).self) { group in
            var started = 0
            func start() {
                guard started < attempts.count else { return }
                let number = started
                let attempt = attempts[number]
                started += 1
                group.addTask { (number, try await Self.row(attempt, build: build, shipped: shipped)) }
            }
            for _ in 0..<2 { start() }
            while let (number, row) = try await group.next() {
                rows[number] = row
                start()
            }
        }
        var table = ConfusionTable()
        table.rows = rows.compactMap(\.self)
        #expect(table.rows.count == attempts.count)
        for row in table.rows where row.grade == .careless {
            Issue.record("\(row.kind.rawValue): \(row.verdict): \(row.text)")
        }
        for row in table.rows where row.grade == .tooCareful {
            print("too careful:", row.kind.rawValue, row.verdict, row.text)
        }
        #expect(table.rows.count { $0.grade == .right } >= 34)
        try Self.check(table)
    }

    /// The first change that compiles.
    private static func row(
        _ attempt: Attempt, build: TargetBuild, shipped: ShippedTarget
    ) async throws -> ConfusionTable.Row? {
        var generator = SeededGenerator(seed: attempt.seed)
        for name in attempt.objects {
            guard let path = build.source(ofObject: name) else { continue }
            let text = String(decoding: try build.contents(of: path), as: UTF8.self)
            guard text.utf8.count < 60_000 else { continue }
            let source = TokenizedSource(text)
            for function in source.functions.shuffled(using: &generator).prefix(4) {
                guard let changed = TokenMutation.apply(attempt.kind, to: function, of: source, using: &generator),
                    let object = try? await build.rebuild(objects: [name], changes: [path: Array(changed.utf8)]).first
                else { continue }
                // A token that makes no difference (a macro that is not used) is no change.
                let truth = try differences(object)
                if truth.isEmpty, !attempt.kind.isControl { continue }
                return try grade(attempt.kind, object, function.name, truth: truth, shipped: shipped)
            }
        }
        return nil
    }

    private static func grade(
        _ kind: MutationClass, _ object: RebuiltObject, _ function: String, truth: Set<String>, shipped: ShippedTarget
    ) throws -> ConfusionTable.Row {
        let outcome = try LivePatchFactory.makePatch(
            target: shipped, objects: [object], description: WholeLibraryMatchingTests.description)
        let found = Set(outcome.functions.map(\.name))
        let verdict = outcome.judgement.word
        let grade: Grade
        if kind.isControl {
            grade = verdict == "empty" && truth.isEmpty ? .right : .tooCareful
        } else if !truth.subtracting(found).isEmpty || !found.subtracting(truth).subtracting([function]).isEmpty {
            grade = .careless
        } else {
            grade = ["automatic", "quiescent"].contains(verdict) ? .right : .tooCareful
        }
        return ConfusionTable.Row(
            kind: kind, verdict: verdict, grade: grade,
            text:
                "\(object.name): \(function): \(found.sorted()), objdump: \(truth.sorted()) \(outcome.judgement.reasons.map(\.text))"
        )
    }

    /// The functions that objdump shows to differ, cold parts with their functions.
    private static func differences(_ object: RebuiltObject) throws -> Set<String> {
        let before = try functions(object.pre)
        let after = try functions(object.post)
        var result: Set<String> = []
        for name in Set(before.keys).union(after.keys) where before[name] != after[name] {
            result.insert(name.hasSuffix(".cold") ? String(name.dropLast(5)) : name)
        }
        return result
    }

    /// Instructions and relocations by function. Numbers that the compiler counts strings by are left out.
    private static func functions(_ object: [UInt8]) throws -> [String: String] {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("moult-" + UUID().uuidString)
        try Data(object).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/objdump")
        process.arguments = ["-dr", "--no-addresses", "--no-show-raw-insn", file.path]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        var result: [String: String] = [:]
        var name = ""
        for line in text.split(separator: "\n") {
            if line.hasPrefix("<"), line.hasSuffix(">:") {
                name = String(line.dropFirst().dropLast(2))
            } else if !name.isEmpty, !line.hasPrefix("Disassembly") {
                // A string is told by its contents elsewhere; its number is the compiler's.
                let mark = line.firstRange(of: ".LC")
                result[name, default: ""] += (mark.map { String(line[..<$0.upperBound]) } ?? String(line)) + "\n"
            }
        }
        return result
    }

    private static func check(_ table: ConfusionTable) throws {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Documentation/mutations.md")
        let page = String(decoding: try Data(contentsOf: path), as: UTF8.self)
        let wanted = try #require(table.page(page, mark: "openssl"))
        if ProcessInfo.processInfo.environment["MOULT_RECORD_MUTATIONS"] != nil {
            try Data(wanted.utf8).write(to: path)
        } else {
            #expect(page == wanted, "MOULT_RECORD_MUTATIONS=1 writes it")
        }
    }
}

extension WholeLibraryMatchingTests {
    /// The commands of the build, without building it.
    static func openSurvey(_ name: String) async throws -> TargetBuild {
        let path = OpenSSLBuildTests.directory + "CVE-2026-75803.yaml"
        var recipe = try Recipe(path: path)
        recipe.target.object = "usr/lib/x86_64-linux-gnu/" + name
        return try await FixPreparation.open(recipe: recipe, build: try BuildRecipe(besideRecipe: path), mode: .survey)
    }
}
