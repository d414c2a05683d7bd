//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF
import FoundationEssentials
import PatchBuilding
import Testing

/// A source patch of the author's on top of a fix.
@Suite("Adapted sources") struct AdaptedSourceTests {
    /// What the fix makes of the two files.
    private static let changes = [
        "src/one.c": FixPreparationTests.fixedOne, "include/deep.h": "#define DEEP 7\n",
    ]

    private func prepare(
        _ patch: String?, files: [Recipe.File] = [.init(path: "src/one.c"), .init(path: "include/deep.h")],
        changes: [String: String] = changes
    ) async throws -> PreparedFix {
        try await withTemporaryDirectory { directory in
            let plume = try await PlumePackage(in: directory, changes: changes)
            var recipe = plume.recipe([])
            recipe.fix = .files(files)
            recipe.adaptation = Recipe.Adaptation(
                name: "keep.patch", path: directory + "/keep.patch", because: "the header stays as it is")
            if let patch { try Data(patch.utf8).write(to: URL(filePath: directory + "/keep.patch")) }
            return try await FixPreparation.prepare(recipe: recipe, build: plume.build, cache: plume.cache)
        }
    }

    private static let keepHeader = """
        --- a/include/deep.h
        +++ b/include/deep.h
        @@ -1 +1 @@
        -#define DEEP 7
        +#define DEEP 6

        """

    private static let addTwo = """
        --- a/src/one.c
        +++ b/src/one.c
        @@ -1,4 +1,6 @@
         #include "shallow.h"
         int one(void)
        -{ return DEEP + 1; }
        +{
        +    return DEEP + 3;
        +}
         int line(void) { return __LINE__; }

        """

    @Test("A header that the patch takes back is touched no more; what else the fix says stays")
    func header() async throws {
        let fix = try await prepare(Self.keepHeader)
        #expect(fix.touchedHeaders.isEmpty)
        #expect(fix.objects.map(\.name) == ["shared/one.o"])
        let object = try #require(fix.objects.first)
        #expect(try returned(object.pre, "one") == 6)
        #expect(try returned(object.post, "one") == 7)
        #expect(try returned(object.post, "line") == 3)
    }

    @Test("Line numbers are those of the vulnerable source, whatever the patch adds")
    func lines() async throws {
        let fix = try await prepare(Self.keepHeader + Self.addTwo)
        let object = try #require(fix.objects.first)
        #expect(try returned(object.post, "one") == 9)
        #expect(try returned(object.post, "line") == 3)
    }

    @Test("The patch can change what the fix does not touch")
    func another() async throws {
        let patch = """
            --- a/src/two.c
            +++ b/src/two.c
            @@ -1,2 +1,3 @@
             struct own { int a; };
            +
             const char *two(void) { return __FILE__; }

            """
        let fix = try await prepare(patch, files: [.init(path: "src/one.c")])
        #expect(fix.objects.map(\.name) == ["shared/one.o", "shared/two.o"])
    }

    @Test("Of a file only the chosen hunks are there when the patch is applied")
    func hunks() async throws {
        let fixed =
            "#include \"shallow.h\"\nint one(void) { return DEEP + 1; }\nint line(void) { return __LINE__ + 50; }\n"
        let patch = """
            --- a/src/one.c
            +++ b/src/one.c
            @@ -1,3 +1,3 @@
             #include "shallow.h"
             int one(void) { return DEEP; }
            -int line(void) { return __LINE__ + 50; }
            +int line(void) { return __LINE__ + 60; }

            """
        // diff(1) makes one hunk of two lines that follow each other, so they are set apart.
        let changes = [
            "src/one.c": fixed.replacing("DEEP + 1; }\n", with: "DEEP; }\n").replacing("#include", with: "\n#include")
        ]
        let two = try await prepare(
            patch, files: [.init(path: "src/one.c", hunks: [2])], changes: changes)
        let object = try #require(two.objects.first)
        #expect(try returned(object.post, "line") == 63)
        let error = try await #require(throws: PreparationError.self) {
            try await prepare(patch, files: [.init(path: "src/one.c", hunks: [1])], changes: changes)
        }
        #expect(error.code == .patchDoesNotApply)
        let many = try await #require(throws: PreparationError.self) {
            try await prepare(patch, files: [.init(path: "src/one.c", hunks: [3])], changes: changes)
        }
        #expect(many.code == .nothingToFix)
    }

    @Test("Its digest is an input")
    func digest() async throws {
        let fix = try await prepare(Self.keepHeader)
        let sum = try await shell("printf '%s' '\(Self.keepHeader)' | sha256sum").prefix(64)
        #expect(fix.inputs.contains("sha256:\(sum) keep.patch"))
        #expect(fix.adaptation?.name == "keep.patch")
    }

    @Test(
        "What does not apply without fuzz is refused by name",
        arguments: [
            // Another line around it than there is.
            keepHeader.replacing("@@ -1 +1 @@", with: "@@ -1,2 +1,2 @@\n #include \"other.h\""),
            // Made for the vulnerable source and not for the fixed one.
            keepHeader.replacing("-#define DEEP 7", with: "-#define DEEP 6").replacing(
                "+#define DEEP 6", with: "+#define DEEP 8"),
            "no diff at all\n", "", keepHeader.replacing("+++ b/include/deep.h", with: "+++ b/../deep.h"),
            keepHeader.replacing("+++ b/include/deep.h", with: "+++ /dev/null"),
        ])
    func refused(_ patch: String) async throws {
        let error = try await #require(throws: PreparationError.self) { try await prepare(patch) }
        #expect(error.code == .patchDoesNotApply, "\(error)")
        #expect(error.reason.contains("/keep.patch"), "\(error)")
    }

    @Test("A patch that is not there, and one that leaves nothing of the fix")
    func nothing() async throws {
        let missing = try await #require(throws: PreparationError.self) { try await prepare(nil) }
        #expect(missing.code == .patchDoesNotApply)
        #expect(missing.reason.contains("/keep.patch"))
        let nothing = try await #require(throws: PreparationError.self) {
            try await prepare(Self.keepHeader, files: [.init(path: "include/deep.h")])
        }
        #expect(nothing.code == .nothingToFix)
        #expect(nothing.reason.contains("/keep.patch"))
    }

    /// The number that a function returns: of the first `mov $x, %eax` in its section.
    private func returned(_ object: [UInt8], _ function: String) throws -> UInt8 {
        let code: [UInt8] = try ELFFile(object).withImage { image in
            let section = try #require(try image.section(named: ".text." + function))
            return try image.contents(of: section).withUnsafeBytes { [UInt8]($0) }
        }
        let place = try #require(code.firstIndex(of: 0xb8))
        return code[place + 1]
    }
}
