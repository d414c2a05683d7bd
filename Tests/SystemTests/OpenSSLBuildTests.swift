//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF
import FoundationEssentials
import PatchBuilding
import Testing

/// The whole way from recipes to rebuilt objects, with Debian's openssl from the network or the cache.
@Suite(.serialized) struct OpenSSLBuildTests {
    static let directory =
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path + "/Recipes/bookworm/openssl/"

    static let recipes = [
        "CVE-2026-75803", "CVE-2026-75803-chacha", "CVE-2026-63074", "CVE-2026-63076", "CVE-2026-42767",
        "ccm-final-tag",
    ]

    @Test(arguments: recipes) func affectedObjects(_ name: String) async throws {
        let path = Self.directory + name + ".yaml"
        let recipe = try Recipe(path: path)
        let fix = try await FixPreparation.prepare(
            recipe: recipe, build: try BuildRecipe(besideRecipe: path))
        print(name, fix.costs.map { "\($0.step) \(($0.seconds * 100).rounded() / 100)" }, fix.objects.map(\.name))
        #expect(fix.objects.count == 1)
        #expect(fix.touchedHeaders.isEmpty)
        let object = try #require(fix.objects.first)
        #expect(object.pre != object.post)
        #expect(object.prePlain != object.pre)
        #expect(try places(of: object.prePlain, in: fix.shipped) == 1)
    }

    /// Where the code of an object stands in a library, fields of relocations left out.
    private func places(of object: [UInt8], in library: [UInt8]) throws -> Int {
        let file = try ELFFile(object)
        let code = try contents(file, ".text")
        let text = try contents(try ELFFile(library), ".text")
        var isField = [Bool](repeating: false, count: code.count)
        try file.withImage { image in
            let sections = try image.sections
            for relocations in try image.relocationSections() {
                guard try image.name(of: try sections[relocations.appliesTo]) == ".text" else { continue }
                let table = try image.relocations(in: relocations.section)
                for index in 0..<table.count {
                    let offset = Int(try table[index].offset)
                    // Two bytes more: the linker may change the instruction that loads from the GOT.
                    for place in max(0, offset - 2)..<min(offset + 4, code.count) { isField[place] = true }
                }
            }
        }
        let fixed = code.indices.filter { !isField[$0] }
        guard fixed.count > 64, text.count > code.count else { return 0 }
        return stride(from: 0, through: text.count - code.count, by: 16).count { start in
            fixed.allSatisfy { text[start + $0] == code[$0] }
        }
    }

    @Test func missingFilesAreToldAndDoNotStop() async throws {
        let path = Self.directory + "CVE-2026-75803.yaml"
        var recipe = try Recipe(path: path)
        recipe.vulnerable.insert("3.0.0-0moult0", at: 0)
        recipe.fixed.insert(.source("3.0.22-1~deb12u2"), at: 0)
        let target = try await FixPreparation.open(
            recipe: recipe, build: try BuildRecipe(besideRecipe: path), mode: .survey)
        #expect(target.offer.vulnerable == "3.0.20-1~deb12u2")
        // All that is missing of a version is told, not only the first.
        #expect(
            target.offer.missing.count { $0.reason.contains("does not list") || $0.reason.contains("lists no") } >= 3)
        // What the archive has of the other changes with time; what was picked agrees with it.
        let isMissing = target.offer.missing.contains { $0.file.contains("3.0.22-1~deb12u2") }
        #expect(target.offer.fixed == (isMissing ? .tarball("3.0.22") : .source("3.0.22-1~deb12u2")))
    }

    @Test func fullBuildIsTheShippedLibrary() async throws {
        let path = Self.directory + "CVE-2026-75803.yaml"
        let target = try await FixPreparation.open(
            recipe: try Recipe(path: path), build: try BuildRecipe(besideRecipe: path), mode: .full)
        print("full build:", target.costs)
        let built = try ELFFile([UInt8](try Data(contentsOf: URL(filePath: target.linkedPath))))
        let shipped = try ELFFile(target.shipped)
        // The identifier covers code, data, symbols and debug information: all of it is the same.
        let identifier = try built.withImage { image in try image.buildID() }
        #expect(identifier != nil)
        #expect(try shipped.withImage { image in try image.buildID() } == identifier)
        for name in [".text", ".rodata", ".data", ".data.rel.ro", ".eh_frame"] {
            #expect(try contents(built, name) == contents(shipped, name), "\(name)")
        }
    }

    private func contents(_ file: ELFFile, _ name: String) throws -> [UInt8] {
        try file.withImage { image in
            guard let section = try image.section(named: name) else { return [] }
            return try image.contents(of: section).withUnsafeBytes { [UInt8]($0) }
        }
    }
}
