//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF
import FoundationEssentials
import LivePatch
import PatchBuilding
import Testing

/// One source in several flavours, each compiled in a copy of the tree, the way libtool does it.
@Suite("Flavours of one source") struct FlavourTests {
    static let objects = [".libs/one.o", ".libs/only.o", "late.lo", "inner/.libs/deep.o"]

    @Test("Objects are found through copies, moves, archives and files of arguments", arguments: BuildWatch.Mode.all)
    func objects(_ mode: BuildWatch.Mode) async throws {
        try await withTemporaryDirectory { directory in
            let quill = try await QuillPackage(in: directory)
            for flavour in QuillPackage.flavours {
                let target = try await FixPreparation.open(
                    recipe: quill.recipe([], flavour: flavour), build: quill.build, cache: quill.cache, mode: mode)
                #expect(target.objectNames == Self.objects)
                #expect(target.linkedPath.hasSuffix("debian/build-\(flavour)/lib/.libs/libquill.so.2"))
                #expect(target.objectPaths.allSatisfy { FileManager.default.fileExists(atPath: $0) })
                guard mode == .full else { continue }
                // A moved object is built again as it was, in a directory that is not there any more.
                for (object, path) in zip(try await target.rebuild(), target.objectPaths) {
                    #expect(try object.prePlain == [UInt8](Data(contentsOf: URL(filePath: path))), "\(object.name)")
                }
            }
        }
    }

    @Test("A fix is compiled in the flavour of the target, from its copy") func flavour() async throws {
        try await withTemporaryDirectory { directory in
            let quill = try await QuillPackage(
                in: directory,
                patches: [
                    "red.patch": QuillPackage.patch(
                        "lib/one.c", line: 3, "int colour(void) { return 1; }", "int colour(void) { return 7; }")
                ])
            let red = try await quill.prepare(["red.patch"], flavour: "red")
            #expect(red.objects.map(\.name) == [".libs/one.o"])
            #expect(try constant(red.objects[0].pre, ".text.colour") == 1)
            #expect(try constant(red.objects[0].post, ".text.colour") == 7)
            // The quotes of a macro got through to the compiler.
            #expect(String(decoding: red.objects[0].pre, as: UTF8.self).contains("here\0"))
            // In another flavour the same source changes nothing.
            let blue = try await quill.prepare(["red.patch"], flavour: "blue")
            #expect(blue.objects.map(\.name) == [".libs/one.o"])
            #expect(try constant(blue.objects[0].pre, ".text.colour") == 2)
            let outcome = try LivePatchFactory.makePatch(
                shipped: blue.shipped, objects: blue.objects, description: MatchingFixture.description)
            #expect(outcome.judgement == .empty)
        }
    }

    @Test("A file that is made several times has to be named") func ambiguous() async throws {
        try await withTemporaryDirectory { directory in
            let quill = try await QuillPackage(in: directory)
            let error = try await #require(throws: PreparationError.self) {
                try await quill.prepare([], flavour: nil)
            }
            #expect(error.code == .targetNotBuilt)
            for flavour in QuillPackage.flavours {
                #expect(error.reason.contains("debian/build-\(flavour)/lib/.libs/libquill.so.2"))
            }
        }
    }

    @Test("A header is followed in the copies too") func header() async throws {
        try await withTemporaryDirectory { directory in
            let quill = try await QuillPackage(
                in: directory,
                patches: ["one.patch": QuillPackage.patch("lib/one.h", "#define ONE 1", "#define ONE 2")])
            let fix = try await quill.prepare(["one.patch"], flavour: "green")
            #expect(fix.objects.map(\.name) == [".libs/one.o"])
            #expect(fix.touchedHeaders == ["lib/one.h"])
        }
    }

    @Test("A copy that the build has changed is not taken for the original") func changedCopy() async throws {
        try await withTemporaryDirectory { directory in
            let quill = try await QuillPackage(
                in: directory,
                patches: [
                    "late.patch": QuillPackage.patch(
                        "lib/late.c", "int late(void) { return 4; }", "int late(void) { return 8; }")
                ],
                prepare: ["echo '/* other */' >>debian/build-red/lib/late.c"])
            let error = try await #require(throws: PreparationError.self) {
                try await quill.prepare(["late.patch"], flavour: "red")
            }
            #expect(error.code == .patchDoesNotApply)
            #expect(error.reason.contains("debian/build-red/lib/late.c"))
            #expect(try await quill.prepare(["late.patch"], flavour: "blue").objects.map(\.name) == ["late.lo"])
        }
    }

    @Test("What a patch changes beside sources and headers is judged by a person") func unfollowed() async throws {
        try await withTemporaryDirectory { directory in
            let deep = QuillPackage.patch(
                "lib/inner/deep.c", "int deep(void) { return 5; }", "int deep(void) { return 9; }")
            let tool = QuillPackage.patch(
                "tool/tool.c", "int main(void) { return 0; }", "int main(void) { return 1; }")
            let template = QuillPackage.patch("template.in", "6", "7")
            let quill = try await QuillPackage(
                in: directory, patches: ["code.patch": deep + tool, "more.patch": template, "tool.patch": tool])
            // The source of another program is none of the target's business.
            let code = try await quill.prepare(["code.patch"], flavour: "red")
            #expect(code.objects.map(\.name) == ["inner/.libs/deep.o"])
            #expect(code.unfollowed.isEmpty)
            let both = try await quill.prepare(["code.patch", "more.patch"], flavour: "red")
            #expect(both.unfollowed == ["template.in"])
            // Also where no object changes.
            let outcome = try LivePatchFactory.makePatch(
                shipped: both.shipped, objects: [], description: MatchingFixture.description,
                unfollowed: both.unfollowed)
            #expect(outcome.judgement.word == "review")
            #expect(outcome.judgement.reasons.map(\.code) == [.buildFileTouched])
            let error = try await #require(throws: PreparationError.self) {
                try await quill.prepare(["tool.patch"], flavour: "red")
            }
            #expect(error.code == .fixNotCompiled)
            #expect(error.reason.contains("tool/tool.c"))
        }
    }

    @Test("An object that no command made is not overlooked") func unknownObject() async throws {
        try await withTemporaryDirectory { directory in
            let quill = try await QuillPackage(
                in: directory, prepare: ["cd debian/build-red/lib && gcc -c -x c /dev/null -o late.lo"])
            let error = try await #require(throws: PreparationError.self) {
                try await quill.prepare([], flavour: "red")
            }
            #expect(error.code == .targetNotBuilt)
            #expect(error.reason.contains("debian/build-red/lib/late.lo"))
        }
    }

    @Test("A process number that comes round again loses no command") func sameProcessNumber() async throws {
        try await withTemporaryDirectory { directory in
            // What runs behind `exec` has the number of the shell, whose record is there already.
            let link = """
                cd debian/build-red/lib && mkdir .libs && records="$(dirname "$(dirname "$(command -v gcc)")")/records" &&
                echo taken >"$records/$$" && exec gcc -fPIC $CFLAGS -Dred -c one.c -o .libs/one.o
                """
            let quill = try await QuillPackage(
                in: directory,
                compile: [link, "cd debian/build-red/lib && gcc -shared .libs/one.o -o .libs/libquill.so.2"])
            let target = try await FixPreparation.open(
                recipe: quill.recipe([], flavour: "red"), build: quill.build, cache: quill.cache, mode: .survey)
            #expect(target.objectNames == [".libs/one.o"])
        }
    }

    /// The value of the only `mov $x, %eax` in a section.
    private func constant(_ object: [UInt8], _ name: String) throws -> UInt8? {
        try ELFFile(object).withImage { image in
            let section = try #require(try image.section(named: name))
            let code = try image.contents(of: section).withUnsafeBytes { [UInt8]($0) }
            return code.firstIndex(of: 0xb8).map { code[$0 + 1] }
        }
    }
}

extension BuildWatch.Mode {
    fileprivate static let all = [BuildWatch.Mode.survey, .full]
}
