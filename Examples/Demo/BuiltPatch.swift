//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials

/// A live patch's file and what the tool says is in it.
struct BuiltPatch {
    /// What it fixes, as a client sees it.
    var fix: Fix
    /// Path of the file.
    var file: String
    /// `CVE-…`, or the recipe's name where there is no such identifier.
    var name: String
    /// What part of the fix it is; empty for all of it.
    var partOf: String
    /// The build it is for.
    var buildID: String
    /// Version of the package that build was shipped in.
    var packageVersion: String
    /// Functions that are replaced.
    var functions: [String]
    /// The builder's judgement.
    var verdict: String

    /// Reads what `moult inspect` says of a fix's file.
    init(fix: Fix, directory: String, tool: Tool) throws(DemoError) {
        self.fix = fix
        file = "\(directory)/\(fix.identifier).moult"
        guard FileManager.default.fileExists(atPath: file) else {
            throw DemoError(code: .failed, reason: "there is no live patch \(file)")
        }
        let (code, document) = try tool.run(["inspect", file], step: "inspect")
        guard code == 0, let build = document["target"]["build-id"].string,
            let version = document["target"]["version"].string, let verdict = document["verdict"].string
        else { throw DemoError(code: .failed, reason: "moult inspect does not understand \(file)") }
        let cves = document["cves"].elements.compactMap(\.string)
        name = cves.isEmpty ? fix.identifier : cves.joined(separator: " ")
        partOf = document["part-of"].string ?? ""
        buildID = build
        packageVersion = version
        functions = document["functions"].elements.compactMap { $0["name"].string }
        self.verdict = verdict
    }

    /// One line for people.
    var summary: String {
        "\(fix.identifier): \(verdict), replaces \(functions.joined(separator: ", "))"
            + (partOf.isEmpty ? "" : " (\(partOf))")
    }

    /// What must be undone so that nothing of a transaction is left: one of its patches names it.
    static func undoIdentifiers(_ patches: [BuiltPatch]) -> [String] {
        patches.first.map { [$0.fix.identifier] } ?? []
    }
}
