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
            recipe: recipe, build: try BuildRecipe(besideRecipe: path), progress: { print("  \($0)") })
        print(name, fix.costs.map { "\($0.step) \(($0.seconds * 100).rounded() / 100)" }, fix.objects.map(\.name))
        #expect(fix.objects.count == 1)
        #expect(fix.touchedHeaders.isEmpty)
        let object = try #require(fix.objects.first)
        #expect(object.pre != object.post)
        #expect(object.prePlain != object.pre)
    }

    @Test func fullBuildIsTheShippedLibrary() async throws {
        let path = Self.directory + "CVE-2026-75803.yaml"
        let target = try await FixPreparation.open(
            recipe: try Recipe(path: path), build: try BuildRecipe(besideRecipe: path), mode: .full,
            progress: { print("  \($0)") })
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
