//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF
import FoundationEssentials
import LivePatch
import PatchBuilding
import Testing

/// Every recipe of Debian 12's openssl is built and held against what is known of its fix.
@Suite(.serialized) struct OpenSSLFixTests {
    /// What came of one recipe.
    private struct Result: Sendable {
        var expected: ExpectedFix
        var fix: PreparedFix?
        var outcome: Outcome?
        /// Why nothing came of it, if a file of it is not offered any more.
        var notOffered: String?
        /// Processor seconds of everything, compilers too; means something if one is built at a time.
        var seconds = 0.0
    }

    private static let page =
        URL(filePath: OpenSSLBuildTests.directory).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path + "/Documentation/openssl-fixes.md"

    @Test("Every recipe has a line in the table, and every line a recipe") func recipesAreExpected() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: OpenSSLBuildTests.directory)
            .filter { $0.hasSuffix(".yaml") && $0 != "build.yaml" }.map { String($0.dropLast(5)) }
        // Layouts are judged elsewhere.
        #expect(Set(names).subtracting(["CVE-2026-54874"]) == Set(ExpectedFix.all.map(\.recipe)))
        #expect(ExpectedFix.all.count == 32)
    }

    @Test("Targets, functions and verdicts are those of the table") func table() async throws {
        let isRecording = ProcessInfo.processInfo.environment["MOULT_RECORD_TABLES"] == "1"
        let results = try await Self.build(ExpectedFix.all, width: isRecording ? 1 : 2)
        for result in results { try Self.check(result) }
        let missing = results.filter { $0.notOffered != nil }
        for result in missing { print("not offered any more:", result.expected.recipe, result.notOffered ?? "") }
        // What cannot be had is no failure of the builder, but a run that built nothing shows nothing.
        #expect(missing.count < results.count)
        let lines = results.map(Self.line)
        print(lines.joined(separator: "\n"))
        if isRecording { try Self.record(lines) }
    }

    private static func check(_ result: Result) throws {
        guard result.notOffered == nil else { return }
        let expected = result.expected
        let fix = try #require(result.fix)
        let outcome = try #require(result.outcome)
        let name = Comment(rawValue: expected.recipe)
        #expect(outcome.judgement.word == expected.verdict, name)
        #expect(Set(outcome.functions.map(\.name)) == expected.functions, name)
        #expect((outcome.patch == nil) == (expected.verdict == "review"), name)
        if !expected.reasons.isEmpty {
            let reasons = outcome.judgement.reasons.map { reason in
                // Which of several functions is named is not the point.
                reason.code == .functionsDependOnEachOther
                    ? reason.code.rawValue : "\(reason.code.rawValue) \(reason.subject)"
            }
            #expect(Set(reasons) == expected.reasons, name)
        }
        switch expected.origin {
        case .rebuilt:
            #expect(fix.offer.vulnerable == "3.0.20-1~deb12u2", name)
            #expect(fix.offer.rebuiltWithout.count == 13, name)
            let path = try #require(fix.rebuiltTarget)
            let target = try ELFFile([UInt8](try Data(contentsOf: URL(filePath: path))))
            let identifier = try target.withImage { image in try image.buildID() }
            #expect(identifier != nil, name)
            if let patch = outcome.patch { #expect(patch.target.buildID == identifier, name) }
        case .shipped:
            #expect(fix.offer.vulnerable == "3.0.20-1~deb12u2" && fix.rebuiltTarget == nil, name)
        case .reformatted:
            #expect(fix.offer.vulnerable == "3.0.17-1~deb12u2" && fix.rebuiltTarget == nil, name)
        }
    }

    /// Builds all, some at a time.
    private static func build(_ fixes: [ExpectedFix], width: Int) async throws -> [Result] {
        try await withThrowingTaskGroup(of: (Int, Result).self) { group in
            var results: [Int: Result] = [:]
            var next = 0
            while results.count < fixes.count {
                while next < fixes.count, next - results.count < width {
                    let index = next
                    group.addTask { (index, try await build(fixes[index])) }
                    next += 1
                }
                if let (index, result) = try await group.next() { results[index] = result }
            }
            return fixes.indices.compactMap { results[$0] }
        }
    }

    private static func build(_ expected: ExpectedFix) async throws -> Result {
        let path = OpenSSLBuildTests.directory + expected.recipe + ".yaml"
        var result = Result(expected: expected)
        do {
            let fix = try await FixPreparation.prepare(
                recipe: try Recipe(path: path), build: try BuildRecipe(besideRecipe: path))
            result.fix = fix
            result.seconds = fix.cpuSeconds
            result.outcome = try LivePatchFactory.makePatch(
                shipped: fix.shipped, objects: fix.objects, description: WholeLibraryMatchingTests.description,
                touchedHeaders: fix.touchedHeaders)
        } catch let error as PreparationError where error.code == .nothingOffered {
            result.notOffered = error.description
        }
        return result
    }

    /// One line of the page.
    private static func line(_ result: Result) -> String {
        let expected = result.expected
        guard let fix = result.fix, let outcome = result.outcome else {
            return "| \(expected.recipe) | \(expected.origin.rawValue) | not offered any more | | | | |"
        }
        let functions = outcome.functions.map { function in
            let before = function.sizeBefore.map(String.init) ?? "new"
            return "`\(function.name)` \(before) → \(function.sizeAfter.map(String.init) ?? "gone")"
        }
        let reasons = outcome.judgement.reasons.map { "\($0.code.rawValue) \($0.subject)" }.sorted()
        var unique: [String] = []
        for reason in reasons where !unique.contains(reason) { unique.append(reason) }
        let seconds = (result.seconds * 10).rounded() / 10
        return
            "| \(expected.recipe) | \(expected.origin.rawValue) | \(fix.offer.targetVersion) | \(outcome.judgement.word) "
            + "| \(functions.joined(separator: ", ")) | \(unique.joined(separator: ", ")) | \(seconds) |"
    }

    /// Puts the lines between the marks of the page.
    private static func record(_ lines: [String]) throws {
        let (start, end) = ("<!-- table: begin -->\n", "<!-- table: end -->")
        let text = String(decoding: try Data(contentsOf: URL(filePath: page)), as: UTF8.self)
        let first = try #require(text.firstRange(of: start)?.upperBound)
        let last = try #require(text.firstRange(of: end)?.lowerBound)
        let head =
            "| recipe | set | target | verdict | functions, bytes before → after | reasons | CPU s |\n"
            + "| --- | --- | --- | --- | --- | --- | --- |\n"
        try Data((text[..<first] + head + lines.joined(separator: "\n") + "\n" + text[last...]).utf8)
            .write(to: URL(filePath: page))
    }

    @Test("The page has each recipe with its verdict and its functions") func pageIsCurrent() throws {
        let text = String(decoding: try Data(contentsOf: URL(filePath: Self.page)), as: UTF8.self)
        for expected in ExpectedFix.all {
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("| \(expected.recipe) |") })
            #expect(line.contains("| \(expected.verdict) |"), "\(expected.recipe)")
            for function in expected.functions { #expect(line.contains("`\(function)`"), "\(expected.recipe)") }
        }
    }
}
