//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import PatchBuilding
import Synchronization
import TestSupport
import Testing

/// One run of `moult` with its document.
struct ToolRun {
    /// Its exit code.
    let code: Int32
    /// Its JSON document; empty if there is none.
    let document: [String: Any]
    /// What it said besides.
    let messages: String

    /// Runs `moult` to its end.
    init(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(filePath: try KillHarness.executable("moult"))
        process.arguments = arguments + ["--format", "json"]
        process.standardInput = FileHandle.nullDevice
        // Files, not pipes: nothing can block on a full one.
        let base = FileManager.default.temporaryDirectory.appending(path: "moult-run-\(UUID().uuidString)")
        let files = [base.appendingPathExtension("out"), base.appendingPathExtension("err")]
        for file in files { try Data().write(to: file) }
        defer { for file in files { try? FileManager.default.removeItem(at: file) } }
        process.standardOutput = try FileHandle(forWritingTo: files[0])
        process.standardError = try FileHandle(forWritingTo: files[1])
        try process.run()
        process.waitUntilExit()
        code = process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
        document = (try JSONSerialization.jsonObject(with: Data(contentsOf: files[0]))) as? [String: Any] ?? [:]
        messages = try String(contentsOf: files[1], encoding: .utf8)
    }

    /// The first process of the document.
    var process: [String: Any] { (document["processes"] as? [[String: Any]])?.first ?? [:] }
    /// What is said of live patches.
    var patches: [[String: Any]] { document["patches"] as? [[String: Any]] ?? [] }
}

/// A live patch that was built, with its case.
struct BuiltFix: Sendable {
    /// What its case shows.
    var fix: LiveFix
    /// Its file.
    var file: String
    /// Its recipe.
    var recipe: String
    /// `automatic` or `quiescent`.
    var verdict: String
    /// Build-id of its target.
    var target: String
    /// The functions that it replaces, and their addresses in the target.
    var functions: [String: UInt64]
}

/// The live patches of all recipes of openssl, built once for all tests.
struct BuiltFixes: Sendable {
    /// Those that can be applied, by the build-id of their target.
    var groups: [String: [BuiltFix]] = [:]
    /// Recipes with another verdict, and the verdict.
    var others: [String: String] = [:]
    /// Recipes that can be applied and have no case.
    var withoutCase: [String] = []

    static let shared = Result { try BuiltFixes() }

    private init() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "moult-live-fixes-\(getuid())").path
        let names = try FileManager.default.contentsOfDirectory(atPath: OpenSSLBuildTests.directory)
            .filter { $0.hasSuffix(".yaml") && $0 != "build.yaml" }.sorted()
        let build = try ToolRun(
            ["build", "--output", directory] + names.map { OpenSSLBuildTests.directory + $0 })
        try #require(build.patches.count == names.count, "\(build.messages)")
        for patch in build.patches {
            let name = try #require(patch["id"] as? String)
            let verdict = try #require(patch["verdict"] as? String, "\(name): \(patch["failure"] ?? "")")
            guard verdict == "automatic" || verdict == "quiescent" else {
                others[name] = verdict
                continue
            }
            guard let fix = LiveFix.all.first(where: { $0.identifier == name }) else {
                withoutCase.append(name)
                continue
            }
            let file = try #require(patch["file"] as? String)
            let inspected = try ToolRun(["inspect", file])
            let target = try #require((inspected.document["target"] as? [String: Any])?["build-id"] as? String)
            let functions = inspected.document["functions"] as? [[String: Any]] ?? []
            groups[target, default: []].append(
                BuiltFix(
                    fix: fix, file: file, recipe: OpenSSLBuildTests.directory + name + ".yaml", verdict: verdict,
                    target: target,
                    functions: Dictionary(
                        functions.compactMap { function in
                            guard let name = function["name"] as? String, let text = function["address"] as? String,
                                let address = UInt64(text.dropFirst(2), radix: 16)
                            else { return nil }
                            return (name, address)
                        }, uniquingKeysWith: { first, _ in first })))
        }
    }

    /// Directories of libraries, by build-id.
    private static let directories = Mutex<[String: String]>([:])

    /// A directory with the libraries that the live patches of a group are for: those of Debian's package, and in the
    /// place of the target what the builder takes for it.
    static func libraries(of group: [BuiltFix]) async throws -> String {
        let first = try #require(group.first)
        if let made = directories.withLock({ $0[first.target] }) { return made }
        let recipe = try Recipe(path: first.recipe)
        let target = try await FixPreparation.open(
            recipe: recipe, build: try BuildRecipe(besideRecipe: first.recipe), mode: .survey)
        let package =
            Cache.standard().directory + "/mirror/\(recipe.location.suite)/binary/\(recipe.target.package)"
            + "/\(target.offer.vulnerable)"
        let name = try #require(
            try FileManager.default.contentsOfDirectory(atPath: package).first { $0.hasSuffix(".deb") })
        let directory = "\(TestProgram.directory)/libraries-\(first.target)"
        let unpacked = try Command.run("/usr/bin/dpkg-deb", ["-x", "\(package)/\(name)", directory])
        try #require(unpacked.status == 0, "\(unpacked.output)")
        let object = "\(directory)/\(recipe.target.object)"
        try Data(target.shipped).write(to: URL(filePath: object))
        let libraries = URL(filePath: object).deletingLastPathComponent().path
        directories.withLock { $0[first.target] = libraries }
        return libraries
    }
}
