//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
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
    var functions: [String: UInt64] = [:]

    /// Reads what `moult inspect` says of a file.
    init(_ fix: LiveFix, file: String, recipe: String, verdict: String) throws {
        let document = try ToolRun(["inspect", file]).document
        guard let target = (document["target"] as? [String: Any])?["build-id"] as? String,
            let functions = document["functions"] as? [[String: Any]], !functions.isEmpty
        else { throw CaseVictim.Failure(text: "\(file) cannot be read") }
        (self.fix, self.file, self.recipe, self.verdict, self.target) = (fix, file, recipe, verdict, target)
        for function in functions {
            guard let name = function["name"] as? String, let text = function["address"] as? String,
                let address = UInt64(text.dropFirst(2), radix: 16)
            else { throw CaseVictim.Failure(text: "\(file): a function without name or address") }
            self.functions[name] = address
        }
    }
}

/// The live patches of all recipes of openssl.
///
/// The same builder makes the same files of the same recipes, so they are kept for the next run.
struct BuiltFixes: Sendable {
    /// Those that can be applied, by the build-id of their target.
    var groups: [String: [BuiltFix]] = [:]
    /// Recipes with another verdict, and the verdict.
    var others: [String: String] = [:]
    /// Recipes that can be applied and have no case.
    var withoutCase: [String] = []
    /// Recipes of which nothing was built, and why.
    var failed: [String: String] = [:]

    static let shared = Result { try BuiltFixes() }

    private init() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: OpenSSLBuildTests.directory)
            .filter { $0.hasSuffix(".yaml") }.sorted()
        var inputs = try Data(contentsOf: URL(filePath: try KillHarness.executable("moult-build")))
        for name in names { inputs += try Data(contentsOf: URL(filePath: OpenSSLBuildTests.directory + name)) }
        let key = SHA256.digest(of: [UInt8](inputs).span.bytes).bytes.prefix(8).map { String($0, radix: 16) }.joined()
        let directory = FileManager.default.temporaryDirectory.path + "/moult-live-fixes-\(getuid())-\(key)"
        let result = URL(filePath: directory + "/build.json")
        if !FileManager.default.fileExists(atPath: result.path) {
            let recipes = names.filter { $0 != "build.yaml" }.map { OpenSSLBuildTests.directory + $0 }
            let build = try ToolRun(["build", "--output", directory] + recipes)
            guard build.patches.count == recipes.count else { throw CaseVictim.Failure(text: build.messages) }
            let isWhole = build.patches.allSatisfy { $0["verdict"] is String }
            let file = isWhole ? result : result.appendingPathExtension("failed")
            try JSONSerialization.data(withJSONObject: build.patches).write(to: file, options: .atomic)
            try read(build.patches)
        } else {
            let patches = try JSONSerialization.jsonObject(with: Data(contentsOf: result))
            try read(patches as? [[String: Any]] ?? [])
        }
    }

    private mutating func read(_ patches: [[String: Any]]) throws {
        for patch in patches {
            let recipe = patch["recipe"] as? String ?? ""
            let name = URL(filePath: recipe).deletingPathExtension().lastPathComponent
            guard let verdict = patch["verdict"] as? String else {
                failed[name] = "\(patch["failure"] ?? "")"
                continue
            }
            guard verdict == "automatic" || verdict == "quiescent", let file = patch["file"] as? String else {
                others[name] = verdict
                continue
            }
            guard let fix = LiveFix.all.first(where: { $0.identifier == name }) else {
                withoutCase.append(name)
                continue
            }
            let built = try BuiltFix(fix, file: file, recipe: recipe, verdict: verdict)
            groups[built.target, default: []].append(built)
        }
    }

    /// Directories of libraries, by build-id.
    private static let directories = Mutex<[String: String]>([:])

    /// A directory with the libraries that the live patches of a group are for: libcrypto and its libssl, as Debian
    /// ships them or as they were rebuilt.
    static func libraries(of group: [BuiltFix]) async throws -> String {
        let first = try #require(group.first)
        if let made = directories.withLock({ $0[first.target] }) { return made }
        let recipe = try Recipe(path: first.recipe)
        let target = try await FixPreparation.open(
            recipe: recipe, build: try BuildRecipe(besideRecipe: first.recipe), mode: .survey)
        let directory = "\(TestProgram.directory)/libraries-\(first.target)"
        let libraries: String
        if let rebuilt = target.rebuiltTarget {
            libraries = directory
            let built = URL(filePath: rebuilt).deletingLastPathComponent()
            try FileManager.default.createDirectory(atPath: libraries, withIntermediateDirectories: true)
            for name in ["libcrypto.so.3", "libssl.so.3"] {
                try FileManager.default.copyItem(
                    atPath: built.appending(path: name).path, toPath: "\(libraries)/\(name)")
            }
        } else {
            let package =
                Cache.standard().directory + "/mirror/\(recipe.location.suite)/binary/\(recipe.target.package)"
                + "/\(target.offer.vulnerable)"
            let name = try #require(
                try FileManager.default.contentsOfDirectory(atPath: package).first { $0.hasSuffix(".deb") })
            let unpacked = try Command.run("/usr/bin/dpkg-deb", ["-x", "\(package)/\(name)", directory])
            try #require(unpacked.status == 0, "\(unpacked.output)")
            libraries = URL(filePath: "\(directory)/\(recipe.target.object)").deletingLastPathComponent().path
        }
        try #require(
            try Data(contentsOf: URL(filePath: "\(libraries)/libcrypto.so.3")).elementsEqual(target.shipped))
        directories.withLock { $0[first.target] = libraries }
        return libraries
    }
}
