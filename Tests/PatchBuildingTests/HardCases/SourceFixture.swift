//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import LivePatch
import PatchBuilding

/// A small library or program of C, C++ or assembler sources and headers, built and stripped as a distribution
/// does it, and what comes of edits of its files.
struct SourceFixture: Sendable {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    /// A source or a header.
    struct File: Sendable {
        var name: String
        var text: String
        /// What its compiler is given besides the flags of all.
        var flags: [String] = []
        var isCompiled: Bool { !name.hasSuffix(".h") }
    }

    /// One replacement in a file; the first place where the old text stands.
    struct Edit: Sendable {
        var file: String
        var old: String
        var new: String

        init(_ file: String, _ old: String, _ new: String) {
            self.file = file
            self.old = old
            self.new = new
        }
    }

    /// How the target is linked.
    enum Kind: Sendable {
        case library
        /// An executable; the test's driver is linked to it.
        case program([String])
    }

    /// Flags that Debian 12 builds shared objects with.
    static let debianFlags = [
        "-g", "-O2", "-fstack-protector-strong", "-Wformat", "-Werror=format-security", "-D_FORTIFY_SOURCE=2", "-w",
    ]

    let directory: URL
    let files: [File]
    let kind: Kind
    private let flags: [String]
    private let linkerFlags: [String]
    /// The stripped file, and its bytes.
    let target: URL
    let shipped: [UInt8]
    /// The same before stripping.
    let unstripped: URL

    init(
        _ files: [File], kind: Kind = .library, flags: [String] = [], linkerFlags: [String] = ["-Wl,-z,relro,-z,now"]
    ) throws {
        self.files = files
        self.kind = kind
        self.linkerFlags = linkerFlags
        switch kind {
        case .library: self.flags = Self.debianFlags + ["-fPIC"] + flags
        case .program: self.flags = Self.debianFlags + flags
        }
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("moult-" + UUID().uuidString)
        target = directory.appendingPathComponent("libtarget.so.1")
        unstripped = directory.appendingPathComponent("target.debug")
        let before = directory.appendingPathComponent("before")
        try Self.write(files, to: before)
        for file in files where file.isCompiled {
            try Self.compile(file, in: before, flags: self.flags, output: file.name + ".plain.o")
            try Self.compile(file, in: before, flags: self.flags + Self.sectionFlags, output: file.name + ".o")
        }
        try Self.link(
            kind, files.filter(\.isCompiled).map { "\(before.path)/\($0.name).plain.o" }, flags: linkerFlags,
            output: unstripped, in: directory)
        try CommandLineTool.run(["strip", "--strip-unneeded", "-o", target.path, unstripped.path], in: directory)
        shipped = [UInt8](try Data(contentsOf: target))
    }

    /// One file of C.
    init(_ text: String, name: String = "first.c", flags: [String] = []) throws {
        try self.init([File(name: name, text: text)], flags: flags)
    }

    func remove() { try? FileManager.default.removeItem(at: directory) }

    private static let sectionFlags = ["-ffunction-sections", "-fdata-sections"]

    // MARK: - Edits

    /// The files after edits.
    func edited(_ edits: [Edit]) throws -> [File] {
        var result = files
        for edit in edits {
            guard let index = result.firstIndex(where: { $0.name == edit.file }),
                let range = result[index].text.range(of: edit.old)
            else { throw Failure(description: "\(edit.file) has no '\(edit.old)'") }
            result[index].text.replaceSubrange(range, with: edit.new)
        }
        return result
    }

    /// The objects, with what is compiled of other files as the fixed ones. Those that neither differ nor include
    /// a header that does are not compiled again.
    func objects(_ after: [File]) throws -> [RebuiltObject] {
        let place = directory.appendingPathComponent("after-" + UUID().uuidString)
        try Self.write(after, to: place)
        defer { try? FileManager.default.removeItem(at: place) }
        let before = directory.appendingPathComponent("before")
        let headers = changedHeaders(after)
        return try zip(files, after).filter(\.0.isCompiled).map { old, new in
            let pre = try bytes(before, old.name + ".o")
            var post = pre
            if old.text != new.text || !headers.isEmpty {
                try Self.compile(new, in: place, flags: flags + Self.sectionFlags, output: new.name + ".o")
                post = try bytes(place, new.name + ".o")
            }
            return RebuiltObject(
                name: old.name, prePlain: try bytes(before, old.name + ".plain.o"), pre: pre, post: post)
        }
    }

    private func changedHeaders(_ after: [File]) -> [String] {
        zip(files, after).filter { !$0.isCompiled && $0.text != $1.text }.map(\.0.name)
    }

    /// What comes of other files.
    func outcome(_ after: [File]) throws -> Outcome {
        try LivePatchFactory.makePatch(
            shipped: shipped, objects: try objects(after), description: MatchingFixture.description,
            touchedHeaders: changedHeaders(after))
    }

    /// What comes of edits.
    func outcome(_ edits: [Edit]) throws -> Outcome { try outcome(try edited(edits)) }

    /// What comes of one edit of the first file.
    func outcome(_ old: String, _ new: String) throws -> Outcome { try outcome([Edit(files[0].name, old, new)]) }

    /// The target as it would be shipped with other files: compiled and linked anew.
    func rebuilt(_ after: [File]) throws -> URL {
        let place = directory.appendingPathComponent("rebuilt-" + UUID().uuidString)
        try Self.write(after, to: place)
        let headers = changedHeaders(after)
        var inputs: [String] = []
        for (old, new) in zip(files, after) where new.isCompiled {
            if old.text == new.text, headers.isEmpty {
                inputs.append("\(directory.path)/before/\(old.name).plain.o")
            } else {
                try Self.compile(new, in: place, flags: flags, output: new.name + ".plain.o")
                inputs.append("\(place.path)/\(new.name).plain.o")
            }
        }
        let output = place.appendingPathComponent("libtarget.so.1")
        try Self.link(kind, inputs, flags: linkerFlags, output: output, in: place)
        return output
    }

    // MARK: - Tools

    private func bytes(_ place: URL, _ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: place.appendingPathComponent(name)))
    }

    private static func write(_ files: [File], to place: URL) throws {
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        for file in files { try Data(file.text.utf8).write(to: place.appendingPathComponent(file.name)) }
    }

    private static func compile(_ file: File, in place: URL, flags: [String], output: String) throws {
        let compiler = file.name.hasSuffix(".cc") ? "g++" : "gcc"
        try CommandLineTool.run(
            [compiler] + flags + file.flags + ["-ffile-prefix-map=\(place.path)=.", "-c", file.name, "-o", output],
            in: place)
    }

    private static func link(
        _ kind: Kind, _ inputs: [String], flags: [String], output: URL, in place: URL
    ) throws {
        // g++ would add libraries that C does not need; the driver's process has them if the target asks.
        let compiler = inputs.contains { $0.contains(".cc.") } ? "g++" : "gcc"
        var command = [compiler, "-Wl,--build-id=sha1", "-o", output.path] + inputs
        switch kind {
        case .library: command += ["-shared", "-Wl,-soname,libtarget.so.1"]
        case .program(let options):
            command += ["-rdynamic", try PatchDriver.object(in: place, flags: options).path, "-lpthread"] + options
        }
        // Libraries among the flags stand behind what needs them.
        try CommandLineTool.run(command + flags, in: place)
    }

    /// Addresses of functions and data by `nm`.
    func symbolTable() throws -> [String: UInt64] {
        var result: [String: UInt64] = [:]
        for line in try CommandLineTool.run(["nm", unstripped.path], in: directory).split(separator: "\n") {
            let parts = line.split(separator: " ")
            if parts.count == 3 { result[String(parts[2])] = UInt64(parts[0], radix: 16) }
        }
        return result
    }
}

/// Tools that tests start.
enum CommandLineTool {
    /// Runs a command and gives back what it prints.
    @discardableResult
    static func run(_ command: [String], in directory: URL) throws -> String {
        let (status, text) = try result(command, in: directory)
        guard status == "exit 0" else {
            throw SourceFixture.Failure(description: command.joined(separator: " ") + ": \(status): " + text)
        }
        return text
    }

    /// How a command ends (`exit 0`, `signal 11`), and what it prints.
    static func result(
        _ command: [String], in directory: URL, input: String = ""
    ) throws -> (status: String, text: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command
        process.currentDirectoryURL = directory
        // A file: a pipe would have to be written while the output is read.
        let file = directory.appendingPathComponent("input-" + UUID().uuidString)
        try Data(input.utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        process.standardInput = try FileHandle(forReadingFrom: file)
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let kind = process.terminationReason == .exit ? "exit" : "signal"
        return ("\(kind) \(process.terminationStatus)", String(decoding: data, as: UTF8.self))
    }
}
