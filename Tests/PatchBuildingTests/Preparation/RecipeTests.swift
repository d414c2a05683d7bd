//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
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

    /// What the author answers for, behind the rest.
    static let author = """

        waive:
          - reason: changed-data
            subject: table
            use: new
            because: >-
              only new functions
              use it
          - {reason: header-touched, subject: a.h, object: a.o, because: no layout changes}
        fixups:
          - symbol: methods
            offset: 0x10
            size: 8
            from: {symbol: process}
            to: {symbol: other, offset: 4}
            because: nobody reads it
          - {symbol: flag, size: 1, from: 0, to: 0xff, because: it is not read}
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

    @Test("Several targets give a recipe each, and a name each") func targets() throws {
        let text = Self.good.replacing(
            "  name: libplume1\n  object: usr/lib/libplume.so.1",
            with: """
                  - name: libplume1
                    object: usr/lib/libplume.so.1
                  - name: libplume1
                    object: usr/lib/libplume-tail.so.1
                    linked: build/tail/.libs/libplume.so.1
                """)
        let location = Recipe.Location(suite: "bookworm", source: "plume", identifier: "x")
        let recipes = try Recipe.all(text: text, location: location, file: "x.yaml")
        #expect(recipes.map(\.location.identifier) == ["x-libplume", "x-libplume-tail"])
        #expect(recipes.map(\.target.linked) == ["", "build/tail/.libs/libplume.so.1"])
        #expect(recipes.allSatisfy { $0.cves == ["CVE-2026-12345"] && $0.probe == "the answer is 41" })
        #expect(try Recipe.all(text: Self.good, location: location, file: "x.yaml").map(\.location.identifier) == ["x"])
        // Where one is expected, several are not silently one.
        #expect(throws: PreparationError.self) { try read(text) }
        let twice = text.replacing("libplume-tail.so.1", with: "other/libplume.so.1")
        let error = try #require(throws: PreparationError.self) {
            try Recipe.all(text: twice, location: location, file: "x.yaml")
        }
        #expect(error.reason.hasPrefix("x.yaml:6: 'libplume' is the name of two targets"))
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

    @Test("Waivers are read with their place") func waivers() throws {
        #expect(
            try read(Self.good + Self.author).waivers == [
                Waiver(
                    .changedData, subject: "table", use: .new, because: "only new functions use it", place: "x.yaml:16"),
                Waiver(
                    .headerTouched, subject: "a.h", object: "a.o", because: "no layout changes", place: "x.yaml:22"),
            ])
        #expect(try read(Self.good).waivers.isEmpty)
    }

    @Test("Fix-ups are read with their place") func fixUps() throws {
        #expect(
            try read(Self.good + Self.author).fixUps == [
                RequestedFixUp(
                    symbol: "methods", offset: 16, size: .eight, from: .address(symbol: "process", offset: 0),
                    to: .address(symbol: "other", offset: 4), because: "nobody reads it", place: "x.yaml:24"),
                RequestedFixUp(
                    symbol: "flag", offset: 0, size: .one, from: .number(0), to: .number(255),
                    because: "it is not read", place: "x.yaml:30"),
            ])
    }

    @Test("An adapted fix is read, and looked for beside the recipe") func adapted() throws {
        let text = Self.good.replacing("fix:\n", with: "fix:\n  adapted: keep.patch\n  because: the layout stays\n")
        #expect(
            try read(text).adaptation
                == Recipe.Adaptation(name: "keep.patch", path: "keep.patch", because: "the layout stays"))
        let recipe = try Recipe(
            text: text, location: Recipe.Location(suite: "bookworm", source: "plume", identifier: "x"),
            file: "/a/b/x.yaml")
        #expect(recipe.adaptation?.path == "/a/b/keep.patch")
        #expect(try read(Self.good).adaptation == nil)
    }

    /// {what to replace, by what, line of the complaint, a word of it}
    static let badAuthor: [(String, String, Int, String)] = [
        ("reason: changed-data", "reason: change-data", 16, "change-data"),
        ("reason: changed-data", "reason: unresolved-symbol", 16, "cannot be waived"),
        ("reason: changed-data", "reason: not-understood", 16, "cannot be waived"),
        ("reason: changed-data\n", "reason: changed-data\n    why: x\n", 17, "'why' is not known"),
        ("    subject: table\n", "", 16, "'subject' is missing"),
        ("because: no layout changes", "use: old", 22, "'because' is missing"),
        ("because: no layout changes", "because: ''", 22, "text"),
        ("because: no layout changes", "because: ' '", 22, "one line"),
        ("because: no layout changes", "because: \"a\\tb\"", 22, "one line"),
        ("use: new", "use: both", 18, "'old' or 'new'"),
        ("object: a.o,", "object: a.o, use: old,", 22, "changed-data"),
        ("reason: header-touched, subject: a.h, object: a.o,", "reason: changed-data, subject: table,", 22, "twice"),
        ("size: 8", "size: 3", 26, "1, 2, 4 or 8"), ("size: 8", "size: 4", 27, "8 bytes"),
        ("offset: 0x10", "offset: -16", 25, "number from 0"), ("offset: 0x10", "offset: +16", 25, "number from 0"),
        ("offset: 0x10", "offset: 0xffffffffffffffff", 25, "too large"),
        ("from: 0, to: 0xff", "from: 0, to: 256", 30, "more than 1"),
        ("from: 0, to: 0xff", "from: 1, to: 0x1", 30, "changes nothing"),
        ("from: 0, to: 0xff", "from: 0, to: 0x", 30, "number from 0"),
        ("from: {symbol: process}", "from: {symbol: process, size: 8}", 27, "'size' is not known"),
        ("because: it is not read", "since: x", 30, "'since' is not known"),
        ("size: 1, from: 0, to: 0xff, because: it is not read", "size: 1, from: 0, to: 1", 30, "'because' is missing"),
        ("fix:\n", "fix:\n  adapted: keep.patch\n", 9, "'because' is missing"),
        ("fix:\n", "fix:\n  because: the layout stays\n", 9, "adapted"),
        ("fix:\n", "fix:\n  adapted: ../keep.patch\n  because: x\n", 9, ".patch"),
        ("fix:\n", "fix:\n  adapted: keep.diff\n  because: x\n", 9, ".patch"),
    ]

    @Test("What an author says is refused with file and line where it is not understood", arguments: badAuthor)
    func refusedAuthor(_ old: String, _ new: String, _ line: Int, _ word: String) throws {
        let text = Self.good + Self.author
        #expect(text.contains(old))
        let error = try #require(throws: PreparationError.self) { try read(text.replacing(old, with: new)) }
        #expect(error.code == .malformedRecipe)
        #expect(error.reason.hasPrefix("x.yaml:\(line): "), "\(error)")
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
            copies:
              build/one: .
              src: plume/lib
            prepare: [mkdir build]
            compile: [make -C build]
            """
        let build = try BuildRecipe(text: text, suite: "bookworm", source: "plume", file: "build.yaml")
        #expect(build.buildPath == "/build/{source}-{upstream}")
        #expect(build.environment == ["A_B": "c d"])
        #expect(build.places(of: "plume/lib/a.c") == ["plume/lib/a.c", "build/one/plume/lib/a.c", "src/a.c"])
        #expect(build.places(of: "plume/library/a.c") == ["plume/library/a.c", "build/one/plume/library/a.c"])
        #expect(build.prepare == ["mkdir build"])
        #expect(build.compile == ["make -C build"])
        let error = try #require(throws: PreparationError.self) {
            try BuildRecipe(text: text + "\nsteps: []", suite: "bookworm", source: "plume", file: "build.yaml")
        }
        #expect(error.reason.hasPrefix("build.yaml:11: "))
        for copies in ["../src: .", "src: ../plume", "src: /"] {
            let error = try #require(throws: PreparationError.self) {
                try BuildRecipe(
                    text: "compile: [make]\ncopies:\n  \(copies)", suite: "bookworm", source: "plume",
                    file: "build.yaml")
            }
            #expect(error.reason.hasPrefix("build.yaml:3: "), "\(error)")
        }
    }
}
