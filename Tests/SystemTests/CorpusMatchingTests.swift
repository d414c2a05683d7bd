//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF
import FoundationEssentials
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
        /// Functions that are found in it.
        var functions: Int
        /// Whether the build gives the shipped bytes, so that its symbol table is that of the shipped library.
        var isReproduced: Bool

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
            object: "lib/x86_64-linux-gnu/libexpat.so.1.8.10", objects: 3, functions: 0, isReproduced: true),
        Library(
            source: "expat", version: "2.5.0-1+deb12u2", package: "libexpat1",
            object: "usr/lib/x86_64-linux-gnu/libexpatw.so.1.8.10", objects: 3, functions: 0, isReproduced: true),
        Library(
            source: "zlib", version: "1:1.2.13.dfsg-1", package: "zlib1g",
            object: "lib/x86_64-linux-gnu/libz.so.1.2.13", objects: 15, functions: 0, isReproduced: true),
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
        let target = try await FixPreparation.open(
            recipe: library.recipe, build: library.build, mode: .full, progress: { print($0) })
        var objects: [RebuiltObject] = []
        for (name, path) in zip(target.objectNames, target.objectPaths) {
            let bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
            objects.append(RebuiltObject(name: name, prePlain: bytes, pre: [], post: []))
        }
        let placement = try ObjectMatching.place(objects, in: target.shipped)
        #expect(placement.contradictions.isEmpty)

        let shipped = try ELFFile(target.shipped)
        let built = try ELFFile([UInt8](try Data(contentsOf: URL(filePath: target.linkedPath))))
        let same = try Self.loaded.map { try Self.contents(shipped, $0) == Self.contents(built, $0) }
        print(library.testDescription, "same sections:", zip(Self.loaded, same).map { "\($0): \($1)" })
        #expect(same.allSatisfy { $0 } == library.isReproduced)

        // The truth: the symbol table of the linked build where it has the shipped bytes, and the exported names.
        let truth = try Self.functions(built)
        let exports = try Self.exports(shipped)
        var found: Set<String> = []
        var wrong: [String] = []
        for object in placement.objects {
            for function in object.functions {
                let key = function.name + " " + String(function.address, radix: 16)
                found.insert(key)
                if library.isReproduced, !truth.contains(key) { wrong.append("\(object.name): \(key)") }
                if let addresses = exports[function.name], !addresses.contains(function.address) {
                    wrong.append("\(object.name): \(key) is exported from elsewhere")
                }
            }
            for code in object.code where code.status != .placed {
                print("left:", object.name, code.name, code.size, code.status)
            }
            for text in object.differingData { print("data:", object.name, text) }
            if object.differingLiterals > 0 { print("literals:", object.name, object.differingLiterals) }
        }
        #expect(wrong.isEmpty)
        let placed = placement.objects.count { object in
            object.code.allSatisfy { $0.status == .placed } && object.differingLiterals == 0
                && object.differingData.isEmpty
        }
        print(library.testDescription, "objects", objects.count, "whole", placed, "functions", found.count)
        let missing = truth.subtracting(found).filter { key in
            !WholeLibraryMatchingTests.notOfObjects.contains(String(key.prefix { $0 != " " }))
        }
        print("missing", missing.count, Array(missing.prefix(20)))
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
