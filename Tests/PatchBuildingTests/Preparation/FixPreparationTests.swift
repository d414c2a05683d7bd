//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import DWARF
import ELF
import FoundationEssentials
import PatchBuilding
import Testing

/// From a recipe to rebuilt objects, on a made-up package: its build is watched, never known beforehand.
@Suite("Preparing a fix") struct FixPreparationTests {
    static let fixedOne =
        "#include \"shallow.h\"\nint one(void)\n{ return DEEP + 1; }\nint line(void) { return __LINE__; }\n"

    private func names(_ fix: PreparedFix) -> [String] { fix.objects.map(\.name) }

    @Test("A touched source gives its object, in the flavour of the target, three times") func source() async throws {
        try await withTemporaryDirectory { directory in
            let plume = try await PlumePackage(in: directory, changes: ["src/one.c": Self.fixedOne])
            let fix = try await plume.prepare(["src/one.c"])
            #expect(self.names(fix) == ["shared/one.o"])
            #expect(fix.shipped == Array("not looked at".utf8))
            #expect(fix.offer.vulnerable == "1.0-1")
            // Packages of this machine, which are `name=version`, are looked at elsewhere.
            let names = fix.inputs.compactMap { $0.split(separator: " ").last.map(String.init) }
            let files = names.filter { !$0.contains("=") }.sorted()
            #expect(
                files == [
                    "libplume1_1.0-1_amd64.deb", "plume_1.0-1.debian.tar.xz", "plume_1.0.orig.tar.gz",
                    "plume_1.1.orig.tar.gz",
                ])
            #expect(fix.inputs == fix.inputs.sorted())
            let object = try #require(fix.objects.first)
            #expect(try sections(object.prePlain).contains(".text.one") == false)
            #expect(try sections(object.pre).contains(".text.one"))
            // Debian's own patch is in: 6, not upstream's 5; the fix adds one.
            #expect(try constants(object.pre, ".text.one") == [6])
            #expect(try constants(object.post, ".text.one") == [7])
            // One line more above it changes nothing below.
            #expect(try constants(object.post, ".text.line") == [3])
        }
    }

    @Test(
        "The fix can be a patch of the distribution, or a file of its patched source",
        arguments: [Recipe.Fix.patches(["fix.patch"]), .files([.init(path: "src/one.c")])])
    func distributionSource(_ fix: Recipe.Fix) async throws {
        try await withTemporaryDirectory { directory in
            let plume = try await PlumePackage(in: directory, changes: [:])
            var recipe = plume.recipe([])
            recipe.fix = fix
            recipe.fixed = [.source("1.0-2")]
            let prepared = try await FixPreparation.prepare(recipe: recipe, build: plume.build, cache: plume.cache)
            #expect(names(prepared) == ["shared/one.o"])
            let object = try #require(prepared.objects.first)
            #expect(try constants(object.post, ".text.one") == [8])
            #expect(try constants(object.post, ".text.line") == [3])
            #expect(prepared.offer.fixed == .source("1.0-2"))
        }
    }

    @Test("A target that is not offered is rebuilt without its patches, and says so") func rebuilt() async throws {
        try await withTemporaryDirectory { directory in
            let plume = try await PlumePackage(in: directory, changes: [:])
            // Neither the shipped binary nor another version is needed.
            try FileManager.default.removeItem(
                atPath: plume.cache.directory + "/mirror/\(PlumePackage.suite)/binary")
            var recipe = plume.recipe([])
            recipe.fixed = [.source("1.0-1")]
            recipe.fix = .patches(["number.patch"])
            recipe.rebuildWithout = ["number.patch"]
            let fix = try await FixPreparation.prepare(recipe: recipe, build: plume.build, cache: plume.cache)
            // Upstream's 5, and Debian's 6 as the fix.
            #expect(names(fix) == ["shared/one.o", "inner/three.o"])
            #expect(try constants(fix.objects[0].pre, ".text.one") == [5])
            #expect(try constants(fix.objects[0].post, ".text.one") == [6])
            let path = try #require(fix.rebuiltTarget)
            #expect(try [UInt8](Data(contentsOf: URL(filePath: path))) == fix.shipped)
            let target = try ELFFile(fix.shipped)
            #expect(try target.withImage { image in try image.buildID() } != nil)
            #expect(fix.offer.summary.hasPrefix("target rebuilt, not shipped: 1.0-1 without 1 "))
            #expect(fix.offer.targetVersion == "1.0-1 (rebuilt, not shipped)")
            #expect(
                fix.offer.vulnerableVersion == "1.0-1, rebuilt without number.patch; not a shipped build")
            #expect(!fix.inputs.contains { $0.hasSuffix(".deb") })
            let builds = plume.cache.directory + "/builds/\(PlumePackage.suite)/plume/1.0-1"
            let before = try FileManager.default.contentsOfDirectory(atPath: builds)
            _ = try await FixPreparation.prepare(recipe: recipe, build: plume.build, cache: plume.cache)
            #expect(try FileManager.default.contentsOfDirectory(atPath: builds) == before, "one build, used again")
            recipe.rebuildWithout = ["other.patch"]
            let error = try await #require(throws: PreparationError.self) {
                try await FixPreparation.prepare(recipe: recipe, build: plume.build, cache: plume.cache)
            }
            #expect(error.code == .patchDoesNotApply)
            #expect(error.reason.contains("'other.patch'"))
        }
    }

    /// Upstream's next version, formatted anew, with a fix of `one` and something else.
    private static let reformattedOne = """
        #include "shallow.h"
        int
        one(void)
        {
            return DEEP
                   + 1;
        }

        int line(void) {
            return __LINE__;
        }
        int other(void) { return 9; }

        """

    @Test("A fix is taken out of a source that was reformatted, by its function") func reformatted() async throws {
        try await withTemporaryDirectory { directory in
            let plume = try await PlumePackage(in: directory, changes: ["src/one.c": Self.reformattedOne])
            var recipe = plume.recipe([])
            recipe.fix = .reformatted([.init(path: "src/one.c", choice: .functions(["one"]))])
            let fix = try await FixPreparation.prepare(recipe: recipe, build: plume.build, cache: plume.cache)
            let object = try #require(fix.objects.first)
            #expect(try constants(object.pre, ".text.one") == [6])
            #expect(try constants(object.post, ".text.one") == [7])
            #expect(try constants(object.post, ".text.line") == [3])
            #expect(try sections(object.post).contains(".text.other") == false)

            recipe.fix = .reformatted([.init(path: "src/one.c", choice: .functions(["line"]))])
            let error = try await #require(throws: PreparationError.self) {
                try await FixPreparation.prepare(recipe: recipe, build: plume.build, cache: plume.cache)
            }
            #expect(error.code == .nothingToFix)
            #expect(error.reason.contains("'line'"))

            // What an author sees: without formatting two hunks, each with its function.
            let comparison = try await FixPreparation.comparison(
                of: recipe, cache: plume.cache, paths: ["src/one.c"])
            #expect(comparison.files.map(\.path) == ["src/one.c"])
            #expect(comparison.files.first?.hunks.map(\.functions) == [["one"], ["other"]])
            #expect(comparison.files.first?.hunks.map(\.number) == [1, 2])
        }
    }

    @Test("Trees are compared by file, hunk and function") func comparison() async throws {
        try await withTemporaryDirectory { directory in
            let plume = try await PlumePackage(
                in: directory,
                changes: [
                    "src/two.c": "struct own { int b; };\nconst char *two(void) { return \"\"; }\n",
                    "src/new.c": "int a;\n",
                ])
            let comparison = try await FixPreparation.comparison(of: plume.recipe([]), cache: plume.cache)
            #expect(comparison.files.map(\.path) == ["include/deep.h", "src/two.c"])
            #expect(comparison.added == ["src/new.c"])
            #expect(comparison.removed.isEmpty)
            let hunk = try #require(comparison.files.last?.hunks.first)
            #expect(hunk.lines == SourceDiff.Hunk(old: 0..<2, new: 0..<2))
            #expect(hunk.functions == ["two"])
            let some = try await FixPreparation.comparison(
                of: plume.recipe([]), cache: plume.cache, paths: ["src/two.c"])
            #expect(some.files.map(\.path) == ["src/two.c"])
            #expect(some.added.isEmpty)
        }
    }

    @Test("What changed in the cache is not used") func tampered() async throws {
        try await withTemporaryDirectory { directory in
            let plume = try await PlumePackage(in: directory, changes: ["src/one.c": Self.fixedOne])
            let mirror = plume.cache.directory + "/mirror/\(PlumePackage.suite)"
            try await shell("printf x >>\(mirror)/upstream/plume/1.1/plume_1.1.orig.tar.gz")
            // It would be fetched again, which cannot be done for this suite.
            let error = try await #require(throws: PreparationError.self) { try await plume.prepare(["src/one.c"]) }
            #expect(error.code == .noPackageSource)
            #expect(error.reason.contains(PlumePackage.suite))
        }
    }

    @Test("A touched header gives every object that includes it, however deep, and no other") func header() async throws
    {
        try await withTemporaryDirectory { directory in
            let plume = try await PlumePackage(in: directory, changes: ["include/deep.h": "#define DEEP 7\n"])
            let fix = try await plume.prepare(["include/deep.h"])
            #expect(names(fix) == ["shared/one.o", "inner/three.o"])
            #expect(fix.touchedHeaders == ["include/deep.h"])
        }
    }

    @Test("What is compared describes types that nothing uses; what is matched is built as the package was")
    func types() async throws {
        try await withTemporaryDirectory { directory in
            let changes = ["src/two.c": "struct own { int b, a; };\nconst char *two(void) { return \"\"; }\n"]
            let plume = try await PlumePackage(in: directory, changes: changes)
            let fix = try await plume.prepare(["src/two.c"])
            #expect(fix.touchedHeaders.isEmpty)
            let object = try #require(fix.objects.first)
            func own(_ bytes: [UInt8]) throws -> [Member] {
                let information = try DebugInformation(ELFFile(bytes))
                let type = try information.namedTypes.first { try information.name(of: $0) == "own" }
                return try type.map { try information.members(of: $0) } ?? []
            }
            #expect(try own(object.pre).map(\.name) == ["a"])
            #expect(try own(object.post).map(\.name) == ["b", "a"])
            #expect(try own(object.prePlain).isEmpty)
        }
    }

    @Test(
        "A file that goes into no object of the target is refused",
        arguments: ["src/aside.c", "include/unused.h", "Makefile"])
    func notCompiled(_ path: String) async throws {
        try await withTemporaryDirectory { directory in
            let plume = try await PlumePackage(in: directory, changes: [path: "int b;\n"])
            let error = try await #require(throws: PreparationError.self) { try await plume.prepare([path]) }
            #expect(error.code == .fixNotCompiled)
            #expect(error.reason.contains(path))
        }
    }

    @Test("A file that is the same in both sources is no fix") func nothing() async throws {
        try await withTemporaryDirectory { directory in
            let plume = try await PlumePackage(in: directory, changes: [:])
            let error = try await #require(throws: PreparationError.self) { try await plume.prepare(["src/one.c"]) }
            #expect(error.code == .nothingToFix)
        }
    }

    @Test("Objects that are built again equal those of the full build, wherever that was") func equal() async throws {
        try await withTemporaryDirectory { directory in
            let plume = try await PlumePackage(in: directory, changes: [:])
            // The survey first: a full build that is there is taken in its place.
            let survey = try await FixPreparation.open(
                recipe: plume.recipe(["src/one.c"]), build: plume.build, cache: plume.cache, mode: .survey)
            let full = try await FixPreparation.open(
                recipe: plume.recipe(["src/one.c"]), build: plume.build, cache: plume.cache, mode: .full)
            #expect(full.linkedPath != survey.linkedPath)
            #expect(full.objectNames == ["shared/one.o", "shared/two.o", "inner/three.o"])
            #expect(survey.objectNames == full.objectNames)
            let rebuilt = try await survey.rebuild()
            for (object, path) in zip(rebuilt, full.objectPaths) {
                let built = try [UInt8](Data(contentsOf: URL(filePath: path)))
                #expect(object.prePlain == built, "\(object.name)")
                #expect(object.pre == object.post, "\(object.name)")
                // No trace of where it was built, and the distribution's relative path in __FILE__.
                #expect(!String(decoding: object.prePlain, as: UTF8.self).contains(directory))
            }
            #expect(String(decoding: rebuilt[1].prePlain, as: UTF8.self).contains("../src/two.c"))
            let linked = try ELFFile([UInt8](Data(contentsOf: URL(filePath: full.linkedPath))))
            #expect(try linked.withImage { image in try image.section(named: ".dynsym") } != nil)
        }
    }

    @Test("A full build that is there is a survey too") func fullForSurvey() async throws {
        try await withTemporaryDirectory { directory in
            let plume = try await PlumePackage(in: directory, changes: ["src/one.c": Self.fixedOne])
            let full = try await FixPreparation.open(
                recipe: plume.recipe(["src/one.c"]), build: plume.build, cache: plume.cache, mode: .full)
            let survey = try await FixPreparation.open(
                recipe: plume.recipe(["src/one.c"]), build: plume.build, cache: plume.cache, mode: .survey)
            #expect(survey.linkedPath == full.linkedPath)
            // Its objects stay what they are while some of them are built again.
            let before = try full.objectPaths.map { try Data(contentsOf: URL(filePath: $0)) }
            #expect(try await plume.prepare(["src/one.c"]).objects.map(\.name) == ["shared/one.o"])
            #expect(try full.objectPaths.map { try Data(contentsOf: URL(filePath: $0)) } == before)
        }
    }

    @Test("A survey compiles nothing") func survey() async throws {
        try await withTemporaryDirectory { directory in
            // A source that no compiler accepts: the survey does not notice, compiling it does.
            let plume = try await PlumePackage(in: directory, changes: ["src/one.c": "this is no C\n"])
            let target = try await FixPreparation.open(
                recipe: plume.recipe(["src/one.c"]), build: plume.build, cache: plume.cache, mode: .survey)
            for path in target.objectPaths {
                let object = try ELFFile([UInt8](Data(contentsOf: URL(filePath: path))))
                #expect(try object.withImage { image in try image.section(named: ".text")?.size } == 0)
            }
            let error = try await #require(throws: PreparationError.self) { try await plume.prepare(["src/one.c"]) }
            #expect(error.code == .buildFailed)
            #expect(error.details.contains("src/one.c"))
        }
    }

    @Test("A build that failed or was killed leaves nothing that is taken for one") func killed() async throws {
        try await withTemporaryDirectory { directory in
            let changes = ["src/one.c": Self.fixedOne]
            let broken = try await PlumePackage(
                in: directory, changes: changes, compile: ["make -C build -f ../Makefile all", "exit 3"])
            let error = try await #require(throws: PreparationError.self) { try await broken.prepare(["src/one.c"]) }
            #expect(error.code == .buildFailed)
            #expect(error.reason.contains("3"))
            let builds = broken.cache.directory + "/builds/\(PlumePackage.suite)/plume/1.0-1"
            #expect(!FileManager.default.fileExists(atPath: builds))
            #expect(error.reason.contains(broken.cache.directory + "/logs/plume-1.0-1-survey.log"))
            let plume = try await PlumePackage(in: directory + "/2", changes: changes)
            let again = PreparedFixture(plume, cache: broken.cache)
            let first = try await again.prepare()
            let names = try FileManager.default.contentsOfDirectory(atPath: builds)
            #expect(names.count == 1)
            // Worse than a directory that never got its name: one that has it, and not all that belongs there.
            let name = try #require(names.first)
            try FileManager.default.removeItem(atPath: "\(builds)/\(name)/commands.json")
            #expect(try await again.prepare().objects.map(\.post) == first.objects.map(\.post))
        }
    }

    @Test("Another compiler than the one the binary names is refused, both named") func compiler() async throws {
        try await withTemporaryDirectory { directory in
            let plume = try await PlumePackage(
                in: directory, changes: ["src/one.c": Self.fixedOne], shipped: "\0GCC: (Elsewhere 99.1-2) 99.1.0\0")
            let error = try await #require(throws: PreparationError.self) { try await plume.prepare(["src/one.c"]) }
            #expect(error.code == .otherCompiler)
            #expect(error.reason.contains("(Elsewhere 99.1-2) 99.1.0"))
            let own = try await shell("gcc --version | head -n 1").split(separator: "\n").first ?? ""
            #expect(error.reason.contains(own.drop { $0 != "(" }))
        }
    }

    @Test("A package that the build needs and that is not there is named") func dependency() async throws {
        try await withTemporaryDirectory { directory in
            let plume = try await PlumePackage(in: directory, changes: [:])
            var build = plume.build
            build.dependencies.append("moult-no-such-package")
            let error = try await #require(throws: PreparationError.self) {
                try await FixPreparation.prepare(recipe: plume.recipe(["src/one.c"]), build: build, cache: plume.cache)
            }
            #expect(error.code == .missingBuildDependency)
            #expect(error.reason.hasSuffix("apt-get install moult-no-such-package"))
        }
    }

    private func sections(_ object: [UInt8]) throws -> [String] {
        try ELFFile(object).withImage { image in
            var names: [String] = []
            let sections = try image.sections
            for index in 0..<sections.count { names.append(try image.name(of: try sections[index])) }
            return names
        }
    }

    /// The values of `mov $x, %eax` in a section.
    private func constants(_ object: [UInt8], _ name: String) throws -> [UInt8] {
        let file = try ELFFile(object)
        let code: [UInt8] = try file.withImage { image in
            let section = try #require(try image.section(named: name))
            return try image.contents(of: section).withUnsafeBytes { [UInt8]($0) }
        }
        return code.indices.filter { code[$0] == 0xb8 && $0 + 1 < code.count }.map { code[$0 + 1] }
    }
}

/// A package whose cache is another's.
private struct PreparedFixture {
    let plume: PlumePackage
    let cache: Cache

    init(_ plume: PlumePackage, cache: Cache) {
        self.plume = plume
        self.cache = cache
    }

    func prepare() async throws -> PreparedFix {
        try await FixPreparation.prepare(recipe: plume.recipe(["src/one.c"]), build: plume.build, cache: cache)
    }
}
