//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import PatchBuilding
import Testing

/// A recipe is read strictly: what is not understood is refused, with file and line.
@Suite("Recipes") struct RecipeTests {
    static let good = """
        cves: [CVE-2026-12345]
        package:
          name: libplume1
          object: usr/lib/libplume.so.1
        vulnerable: [1.0-1, 1.0-1~deb12u1]
        fixed:
          tarball: 1.1
        fix:
          files:
            - src/a.c
            - path: src/b.c
              hunks: [1, 3]
        part-of: one half
        probe: the answer is 41
        """

    private func read(_ text: String) throws -> Recipe {
        try Recipe(
            text: text, location: Recipe.Location(suite: "bookworm", source: "plume", identifier: "x"), file: "x.yaml")
    }

    @Test("Every field is read") func everyField() throws {
        let recipe = try read(Self.good)
        #expect(recipe.cves == ["CVE-2026-12345"])
        #expect(recipe.target == Recipe.ShippedObject(package: "libplume1", object: "usr/lib/libplume.so.1"))
        #expect(recipe.vulnerable == ["1.0-1", "1.0-1~deb12u1"])
        #expect(recipe.fixed == [.tarball("1.1")])
        #expect(recipe.fix == .files([.init(path: "src/a.c"), .init(path: "src/b.c", choice: .hunks([1, 3]))]))
        #expect(recipe.partOf == "one half")
        #expect(recipe.probe == "the answer is 41")
    }

    @Test("Sources of the fix in order, and patches") func sourcesAndPatches() throws {
        let text = Self.good.replacing("fixed:\n  tarball: 1.1", with: "fixed:\n  - source: 1.0-2\n  - source: 1.0-3")
            .split(separator: "\n").filter { !$0.contains("src/") && !$0.contains("hunks") }.joined(separator: "\n")
            .replacing("  files:", with: "  patches: [CVE-2026-12345.patch]")
        let recipe = try read(text)
        #expect(recipe.fixed == [.source("1.0-2"), .source("1.0-3")])
        #expect(recipe.fix == .patches(["CVE-2026-12345.patch"]))
    }

    @Test("A target to rebuild, reformatted files and functions") func rebuilt() throws {
        let text = Self.good.replacing("fixed:", with: "rebuild-without: [a.patch, dir/b.patch]\nfixed:")
            .replacing("  files:", with: "  reformatted: true\n  files:")
            .replacing("hunks: [1, 3]", with: "functions: [one, two_3]")
        let recipe = try read(text)
        #expect(recipe.rebuildWithout == ["a.patch", "dir/b.patch"])
        #expect(
            recipe.fix
                == .reformatted([
                    .init(path: "src/a.c"), .init(path: "src/b.c", choice: .functions(["one", "two_3"])),
                ]))
        #expect(try read(Self.good).rebuildWithout.isEmpty)
        #expect(try read(text.replacing("reformatted: true", with: "reformatted: false")).fix != recipe.fix)
    }

    /// {what to replace, by what, line of the complaint, a word of it}
    static let bad: [(String, String, Int, String)] = [
        ("part-of:", "part_of:", 13, "part_of"),
        ("  object:", "  path:", 4, "'path' is not known"),
        ("cves: [CVE-2026-12345]", "cves: [CVE-26-1]", 1, "CVE-26-1"),
        ("cves: [CVE-2026-12345]", "cves: CVE-2026-12345", 1, "list"),
        ("usr/lib/libplume.so.1", "/usr/lib/libplume.so.1", 4, "path"),
        ("usr/lib/libplume.so.1", "usr/../../etc/passwd", 4, "path"),
        ("name: libplume1", "name: -o", 3, "package name"),
        ("[1.0-1, 1.0-1~deb12u1]", "[]", 5, "at least one"),
        ("[1.0-1, 1.0-1~deb12u1]", "[1.0-1, 1.0-1]", 5, "twice"),
        ("[1.0-1, 1.0-1~deb12u1]", "['1.0 -o x']", 5, "version"),
        ("tarball: 1.1", "tarball: 1.1\n  source: 1.1-1", 7, "either"),
        ("- src/a.c", "- ../a.c", 10, "path"),
        ("- src/a.c", "- src/b.c", 11, "twice"),
        ("[1, 3]", "[3, 1]", 12, "order"),
        ("[1, 3]", "[0]", 12, "number"),
        ("hunks: [1, 3]", "functions: []", 12, "at least one function"),
        ("hunks: [1, 3]", "functions: [a b]", 12, "function"),
        ("hunks: [1, 3]", "hunks: [1]\n      functions: [a]", 11, "not both"),
        ("  files:", "  reformatted: maybe\n  files:", 9, "true or false"),
        ("fixed:", "rebuild-without: []\nfixed:", 6, "at least one patch"),
        ("fixed:", "rebuild-without: [../a]\nfixed:", 6, "patch"),
        ("  files:", "  patches:", 11, "text"),
        (
            "  files:\n    - src/a.c\n    - path: src/b.c\n      hunks: [1, 3]", "  patches: [a.patch]", 1,
            "not in an upstream tarball"
        ),
        ("probe:", "cves: []\nprobe:", 0, "cves"),
        ("probe: the answer is 41", "probe: [a", 0, "YAML"),
    ]

    @Test("What is not understood is refused with file and line", arguments: bad)
    func refused(_ old: String, _ new: String, _ line: Int, _ word: String) throws {
        let error = try #require(throws: PreparationError.self) {
            try read(Self.good.replacing(old, with: new))
        }
        #expect(error.code == .malformedRecipe)
        #expect(error.reason.hasPrefix(line == 0 ? "x.yaml" : "x.yaml:\(line): "), "\(error)")
        #expect(error.description.contains(word), "\(error)")
    }

    @Test("Every key that is needed is asked for", arguments: ["cves", "package", "vulnerable", "fixed", "fix"])
    func missing(_ key: String) throws {
        var lines = Self.good.split(separator: "\n")
        let start = try #require(lines.firstIndex { $0.hasPrefix(key + ":") })
        let end = lines[(start + 1)...].firstIndex { !$0.hasPrefix(" ") } ?? lines.endIndex
        lines.removeSubrange(start..<end)
        let error = try #require(throws: PreparationError.self) { try read(lines.joined(separator: "\n")) }
        #expect(error.reason.contains("'\(key)' is missing"))
    }

    @Test("The place of a recipe is its name") func location() throws {
        let location = try Recipe.Location(path: "/a/Recipes/bookworm/openssl/CVE-2026-1.yaml")
        #expect(location == Recipe.Location(suite: "bookworm", source: "openssl", identifier: "CVE-2026-1"))
        #expect(throws: PreparationError.self) { try Recipe.Location(path: "/CVE-2026-1.yaml") }
        #expect(throws: PreparationError.self) { try Recipe.Location(path: "/a/b/CVE-2026-1.json") }
    }

    @Test("A build recipe is read, and refused for an unknown key") func buildRecipe() throws {
        let text = """
            compiler: (Debian 12.2.0-14) 12.2.0
            build-path: /build/{source}-{upstream}
            build-dependencies: [gcc, make]
            environment:
              A_B: c d
            prepare: [mkdir build]
            compile: [make -C build]
            """
        let build = try BuildRecipe(text: text, suite: "bookworm", source: "plume", file: "build.yaml")
        #expect(build.buildPath == "/build/{source}-{upstream}")
        #expect(build.environment == ["A_B": "c d"])
        #expect(build.prepare == ["mkdir build"])
        #expect(build.compile == ["make -C build"])
        let error = try #require(throws: PreparationError.self) {
            try BuildRecipe(text: text + "\nsteps: []", suite: "bookworm", source: "plume", file: "build.yaml")
        }
        #expect(error.reason.hasPrefix("build.yaml:8: "))
    }
}
