//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF
import Foundation
import PatchBuilding
import Testing

/// Libraries that are built in other ways than openssl (autotools, libtool, plain make, several flavours of one
/// source): every object of a full build is matched against what Debian ships.
@Suite(.serialized) struct CorpusMatchingTests {
    /// A shipped library, and what is known about it.
    struct Library: Sendable, CustomTestStringConvertible {
        var source: String
        var version: String
        var package: String
        var object: String
        /// Objects that the build links to it.
        var objects: Int
        /// Functions that are found in it, one for each name and address.
        var functions: Int
        /// Whether the build gives the shipped bytes, so that its symbol table is that of the shipped library.
        var isReproduced: Bool
        /// What of the objects is not found in it, or is there with other contents.
        var left: [String] = []

        var testDescription: String { object.split(separator: "/").last.map(String.init) ?? object }

        /// A recipe that names the library, and no fix of it.
        var recipe: Recipe {
            Recipe(
                location: .init(suite: "bookworm", source: source, identifier: "none"), cves: [],
                target: .init(package: package, object: object), vulnerable: [version], fixed: [.source(version)],
                fix: .files([]))
        }

        var build: BuildRecipe {
            get throws {
                try BuildRecipe(besideRecipe: CorpusMatchingTests.recipes + "/\(source)/build.yaml")
            }
        }
    }

    static let recipes =
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path + "/Recipes/bookworm"

    static let libraries = [
        Library(
            source: "expat", version: "2.5.0-1+deb12u2", package: "libexpat1",
            object: "lib/x86_64-linux-gnu/libexpat.so.1.8.10", objects: 3, functions: 293, isReproduced: true),
        Library(
            source: "expat", version: "2.5.0-1+deb12u2", package: "libexpat1",
            object: "usr/lib/x86_64-linux-gnu/libexpatw.so.1.8.10", objects: 3, functions: 294, isReproduced: true),
        Library(
            source: "zlib", version: "1:1.2.13.dfsg-1", package: "zlib1g",
            object: "lib/x86_64-linux-gnu/libz.so.1.2.13", objects: 15, functions: 121, isReproduced: true),
        Library(
            source: "gnutls28", version: "3.7.9-2+deb12u7", package: "libgnutls30",
            object: "usr/lib/x86_64-linux-gnu/libgnutls.so.30.34.3", objects: 0, functions: 0, isReproduced: true),
        Library(
            source: "curl", version: "7.88.1-10+deb12u5", package: "libcurl4",
            object: "usr/lib/x86_64-linux-gnu/libcurl.so.4.8.0", objects: 0, functions: 0, isReproduced: true),
        Library(
            source: "curl", version: "7.88.1-10+deb12u5", package: "libcurl3-gnutls",
            object: "usr/lib/x86_64-linux-gnu/libcurl-gnutls.so.4.8.0", objects: 0, functions: 0, isReproduced: true),
        Library(
            source: "curl", version: "7.88.1-10+deb12u5", package: "libcurl3-nss",
            object: "usr/lib/x86_64-linux-gnu/libcurl-nss.so.4.8.0", objects: 0, functions: 0, isReproduced: true),
    ]

    @Test(arguments: libraries) func everyFunctionIsPlaced(_ library: Library) async throws {
        let target = try await FixPreparation.open(recipe: library.recipe, build: library.build, mode: .full)
        var objects: [RebuiltObject] = []
        for (name, path) in zip(target.objectNames, target.objectPaths) {
            let bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
            objects.append(RebuiltObject(name: name, prePlain: bytes, pre: [], post: []))
        }
        #expect(objects.count == library.objects)
        let placement = try ObjectMatching.place(objects, in: target.shipped)
        #expect(placement.contradictions.isEmpty)

        let shipped = try ELFFile(target.shipped)
        let built = try ELFFile([UInt8](try Data(contentsOf: URL(filePath: target.linkedPath))))
        var different: [String] = []
        for name in Self.loaded where try Self.contents(shipped, name) != Self.contents(built, name) {
            different.append(name)
        }
        #expect(different.isEmpty == library.isReproduced, "\(different)")

        // Three truths: the symbol table of the linked build where it has the shipped bytes, the names that the
        // shipped library exports, and the bounds of its functions that its unwind rules give.
        let truth = try Self.functions(built)
        let exports = try Self.exports(shipped)
        let frames = try await Self.frames(target.shipped)
        #expect(!exports.isEmpty && !frames.isEmpty)
        var found: Set<String> = []
        var places: Set<UInt64> = []
        var wrong: [String] = []
        var left: [String] = []
        for object in placement.objects {
            for function in object.functions {
                let key = function.name + " " + String(function.address, radix: 16)
                found.insert(key)
                places.insert(function.address)
                if library.isReproduced, !truth.contains(key) { wrong.append("\(object.name): \(key)") }
                if let addresses = exports[function.name], !addresses.contains(function.address) {
                    wrong.append("\(object.name): \(key) is exported from elsewhere")
                }
            }
            left += object.code.filter { $0.status != .placed }.map { "\(object.name) \($0.name) \($0.status)" }
            left += object.differingData.map { "\(object.name) \($0)" }
            if object.differingLiterals > 0 { left.append("\(object.name) \(object.differingLiterals) literals") }
        }
        #expect(wrong.isEmpty)
        #expect(left == library.left)
        if library.isReproduced {
            let missing = truth.subtracting(found).filter { key in
                !WholeLibraryMatchingTests.notOfObjects.contains(String(key.prefix { $0 != " " }))
            }
            #expect(missing.isEmpty)
        }
        #expect(Set(exports.values.joined()).subtracting(places).isEmpty)
        // What has unwind rules and is no function of an object is a table of stubs.
        let stubs = try Self.stubs(shipped)
        let strangers = frames.subtracting(places).filter { place in !stubs.contains { $0.contains(place) } }
        #expect(strangers.count <= library.left.count, "\(strangers.map { String($0, radix: 16) })")
        #expect(found.count == library.functions)
        print("\(library.testDescription): \(objects.count) objects, \(found.count) functions placed")
    }

    /// Where functions begin, by the unwind rules as readelf(1) reads them.
    static func frames(_ library: [UInt8]) async throws -> Set<UInt64> {
        let file = FileManager.default.temporaryDirectory.appending(path: "moult-\(UUID().uuidString)")
        try Data(library).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/readelf")
        process.arguments = ["--debug-dump=frames", "--wide", file.path]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        var starts: Set<UInt64> = []
        for line in text.split(separator: "\n") where line.contains(" FDE ") {
            guard let range = line.firstRange(of: " pc=") else { continue }
            if let start = UInt64(line[range.upperBound...].prefix { $0 != "." }, radix: 16) { starts.insert(start) }
        }
        return starts
    }

    /// The address ranges of PLT sections.
    static func stubs(_ file: ELFFile) throws -> [Range<UInt64>] {
        try file.withImage { image in
            let sections = try image.sections
            var ranges: [Range<UInt64>] = []
            for index in 0..<sections.count {
                let section = try sections[index]
                guard try image.name(of: section).hasPrefix(".plt") else { continue }
                ranges.append(section.address..<(section.address + section.size))
            }
            return ranges
        }
    }

    /// Sections with contents that are loaded and that a change of the code or the data would show in.
    static let loaded = [".text", ".rodata", ".data", ".data.rel.ro", ".eh_frame"]

    static func contents(_ file: ELFFile, _ name: String) throws -> [UInt8] {
        try file.withImage { image in
            guard let section = try image.section(named: name) else { return [] }
            return try image.contents(of: section).withUnsafeBytes { [UInt8]($0) }
        }
    }

    /// Names and addresses of the functions in a symbol table.
    static func functions(_ file: ELFFile) throws -> Set<String> {
        try file.withImage { image in
            var result: Set<String> = []
            guard let table = try image.symbols else { return result }
            for index in 0..<table.count {
                let symbol = try table[index]
                guard symbol.type == .function, symbol.isDefined else { continue }
                let name = try table.name(of: symbol).prefix { $0 != "@" }
                result.insert(name + " " + String(symbol.value, radix: 16))
            }
            return result
        }
    }

    /// Addresses of the functions that a library exports, by name.
    static func exports(_ file: ELFFile) throws -> [String: Set<UInt64>] {
        try file.withImage { image in
            var result: [String: Set<UInt64>] = [:]
            guard let table = try image.dynamicSymbols else { return result }
            for index in 0..<table.count {
                let symbol = try table[index]
                guard symbol.type == .function, symbol.isDefined else { continue }
                result[try table.name(of: symbol), default: []].insert(symbol.value)
            }
            return result
        }
    }
}
