//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import LivePatch
import PatchBuilding

/// A small shared library, compiled, linked and stripped as a distribution does it, and its objects rebuilt
/// before and after an edit.
struct MatchingFixture {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    /// The directory that everything lies in; removed by `remove()`.
    let directory: URL
    /// The stripped library.
    let shipped: [UInt8]
    /// Where it lies, for loading it.
    let library: URL
    /// The same before stripping.
    let unstripped: URL
    /// The sources by file name.
    let sources: [(name: String, text: String)]
    /// Headers that the sources include, by file name.
    let headers: [(name: String, text: String)]
    private let compilerFlags: [String]

    static let flags = ["-O2", "-fPIC", "-fstack-protector-strong", "-w"]

    /// Compiles and links sources.
    init(
        _ sources: [(name: String, text: String)], headers: [(name: String, text: String)] = [],
        compilerFlags: [String] = [], linkerFlags: [String] = ["-Wl,-z,now"]
    ) throws {
        self.sources = sources
        self.headers = headers
        self.compilerFlags = Self.flags + compilerFlags
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("moult-" + UUID().uuidString)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        library = directory.appendingPathComponent("libfixture.so.1")
        unstripped = directory.appendingPathComponent("libfixture.debug")
        var objects: [String] = []
        for source in sources {
            let object = "plain-\(source.name).o"
            try Self.compile(
                source.text, source.name, object, headers: headers, flags: self.compilerFlags, in: directory)
            objects.append(object)
        }
        try Self.run(
            ["gcc", "-shared", "-Wl,-soname,libfixture.so.1", "-Wl,--build-id=sha1"] + linkerFlags
                + ["-o", unstripped.path] + objects, in: directory)
        try Self.run(["strip", "--strip-unneeded", "-o", library.path, unstripped.path], in: directory)
        shipped = [UInt8](try Data(contentsOf: library))
    }

    /// The rebuilt objects, with the sources and headers that `edits` names replaced after the fix.
    ///
    /// - Parameter flags: what is added for the two builds that are compared.
    func objects(
        _ edits: [String: String] = [:], flags: [String] = ObjectBuilder.comparisonFlags
    ) throws -> [RebuiltObject] {
        try sources.map { source in
            let post = "post-\(source.name)-\(UUID().uuidString).o"
            let pre = "pre-\(source.name)\(flags.joined()).o"
            if !FileManager.default.fileExists(atPath: directory.appendingPathComponent(pre).path) {
                // Other tests may be about to do the same: it gets its name when it is whole.
                let incoming = "incoming-\(UUID().uuidString).o"
                try Self.compile(
                    source.text, source.name, incoming, headers: headers, flags: compilerFlags + flags, in: directory)
                try Self.run(["mv", incoming, pre], in: directory)
            }
            try Self.compile(
                edits[source.name] ?? source.text, source.name, post,
                headers: headers.map { ($0.name, edits[$0.name] ?? $0.text) }, flags: compilerFlags + flags,
                in: directory)
            return RebuiltObject(
                name: source.name, prePlain: try bytes("plain-\(source.name).o"), pre: try bytes(pre),
                post: try bytes(post))
        }
    }

    /// What comes of edits: pairs of text in the file of that name and its replacement.
    func outcome(
        _ edits: [(file: String, old: String, new: String)], headers: [String] = [],
        flags: [String] = ObjectBuilder.comparisonFlags, waivers: [Waiver] = [], fixUps: [RequestedFixUp] = []
    ) throws -> Outcome {
        var texts: [String: String] = [:]
        for edit in edits {
            let text = texts[edit.file] ?? (sources + self.headers).first { $0.name == edit.file }?.text ?? ""
            guard let range = text.range(of: edit.old) else { throw Failure(description: "no \(edit.old)") }
            texts[edit.file] = text.replacingCharacters(in: range, with: edit.new)
        }
        return try LivePatchFactory.makePatch(
            shipped: shipped, objects: try objects(texts, flags: flags), description: Self.description,
            touchedHeaders: headers, waivers: waivers, fixUps: fixUps)
    }

    /// Edits in the first file.
    func outcome(_ old: String, _ new: String) throws -> Outcome {
        try outcome([(sources[0].name, old, new)])
    }

    static var description: PatchDescription {
        PatchDescription(
            identifier: "CVE-0000-0001", targetName: "libfixture.so.1", package: "fixture", packageVersion: "1",
            provenance: Provenance(
                cves: ["CVE-0000-0001"], partOf: "", source: "fixture", suite: "test", vulnerableVersion: "1",
                fixedVersion: "2", reasons: [], inputs: []))
    }

    func remove() { try? FileManager.default.removeItem(at: directory) }

    private func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: directory.appendingPathComponent(name)))
    }

    private static func compile(
        _ text: String, _ name: String, _ object: String, headers: [(name: String, text: String)], flags: [String],
        in directory: URL
    ) throws {
        // Each version in a directory of its own, so that the name the compiler sees is the same.
        let place = directory.appendingPathComponent("source-" + object)
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        for (name, text) in headers + [(name, text)] {
            try Data(text.utf8).write(to: place.appendingPathComponent(name))
        }
        try run(["gcc"] + flags + ["-c", name, "-o", "../" + object], in: place)
    }

    /// Runs a command and gives back what it prints.
    @discardableResult
    static func run(_ command: [String], in directory: URL) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command
        process.currentDirectoryURL = directory
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let text = String(decoding: data, as: UTF8.self)
        guard process.terminationStatus == 0 else {
            throw Failure(description: command.joined(separator: " ") + ": " + text)
        }
        return text
    }

    /// The functions of the unstripped library by `nm`, for comparison.
    func symbolTable() throws -> [String: UInt64] {
        var result: [String: UInt64] = [:]
        for line in try Self.run(["nm", unstripped.path], in: directory).split(separator: "\n") {
            let parts = line.split(separator: " ")
            guard parts.count == 3, let address = UInt64(parts[0], radix: 16), "tTdDbBrR".contains(parts[1]) else {
                continue
            }
            result[String(parts[2])] = address
        }
        return result
    }
}
