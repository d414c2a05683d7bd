//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import PatchBuilding
import Testing

/// A made-up package that is built as libtool and three-flavour packages are.
///
/// The library `libquill.so.2` is made three times, in copies of the whole tree with other options each. Every
/// source is compiled for a shared and for a static library; one object comes by way of two archives, out of one and
/// into the next; one is moved after it was compiled, in a directory that is gone then; the link takes its objects
/// from a file.
struct QuillPackage {
    static let suite = "plumage"
    static let flavours = ["red", "green", "blue"]

    let cache: Cache
    let build: BuildRecipe

    static let files: [String: String] = [
        "lib/Makefile": """
        .libs/libquill.so.2: .libs/one.o .libs/only.o .libs/libinner.a late.lo
        \tprintf '%s ' .libs/one.o "'.libs/only.o'" \\"late.lo\\" >objects
        \t$(CC) -shared -o $@T @objects -Wl,--whole-archive ./.libs/libinner.a -Wl,--no-whole-archive $(LDFLAGS)
        \tmv -f $@T $@
        .libs/libinner.a: inner/.libs/libdeep.a
        \tmkdir -p .libs/libinner.lax
        \tcd .libs/libinner.lax && ar x $(CURDIR)/inner/.libs/libdeep.a
        \tar cr $@ .libs/libinner.lax/deep.o
        \tranlib $@
        \trm -rf .libs/libinner.lax
        inner/.libs/libdeep.a: inner/.libs/deep.o
        \tar cr $@ $^
        .libs/%.o: %.c
        \t@mkdir -p .libs
        \t$(CC) $(CPPFLAGS) $(CFLAGS) -D$(FLAVOUR) -fPIC -DPIC -c $< -o $@
        \t$(CC) $(CPPFLAGS) $(CFLAGS) -D$(FLAVOUR) -c $< -o $*.o >/dev/null 2>&1
        inner/.libs/%.o: inner/%.c
        \t@mkdir -p inner/.libs
        \t$(CC) $(CPPFLAGS) $(CFLAGS) -D$(FLAVOUR) -fPIC -DPIC -c $< -o $@
        \t$(CC) $(CPPFLAGS) $(CFLAGS) -D$(FLAVOUR) -c $< -o inner/$*.o >/dev/null 2>&1
        late.lo: late.c
        \t-@mkdir objs
        \t$(CC) $(CPPFLAGS) $(CFLAGS) -D$(FLAVOUR) -fPIC -c -o objs/late.o late.c
        \tmv objs/late.o $@
        \trmdir objs
        """,
        "lib/one.c":
            "#include \"one.h\"\n#ifdef red\nint colour(void) { return 1; }\n#else\nint colour(void) { return 2; }\n#endif\nconst char *where(void) { return WHERE; }\n",
        "lib/one.h": "#define ONE 1\n",
        "lib/only.c": "typedef int something;\n#ifdef green\nint green_only(void) { return 3; }\n#endif\n",
        "lib/late.c": "int late(void) { return 4; }\n",
        "lib/inner/deep.c": "int deep(void) { return 5; }\n",
        "tool/tool.c": "int main(void) { return 0; }\n",
        "template.in": "6\n",
    ]

    /// Fills a cache below a directory with version 2.0-1, whose debian/patches hold what is to be tried, and the
    /// binary package.
    init(
        in directory: String, patches: [String: String] = [:], prepare: [String] = [], compile: [String]? = nil
    ) async throws {
        cache = Cache(directory: directory + "/cache")
        build = BuildRecipe(
            suite: Self.suite, source: "quill", buildPath: "/build/{source}-{upstream}", dependencies: ["gcc", "make"],
            environment: [
                // A value as a makefile's shell has to see it.
                "DEB_CFLAGS_MAINT_APPEND": "-DWHERE=\\\"here\\\""
            ],
            copies: Self.flavours.map { .init(directory: "debian/build-\($0)", original: "") },
            prepare: Self.flavours.map {
                "mkdir debian/build-\($0) && tar -cf - '--exclude=./debian/build*' . | tar -xf - -C debian/build-\($0)"
            } + prepare,
            compile: compile ?? Self.flavours.map { "make -C debian/build-\($0)/lib FLAVOUR=\($0) .libs/libquill.so.2" }
        )
        let mirror = cache.directory + "/mirror/\(Self.suite)"
        var debian = [
            "debian/changelog":
                "quill (2.0-1) bookworm; urgency=low\n\n  * First.\n\n -- A <a@example.org>  Mon, 06 Jan 2025 12:00:00 +0000\n"
        ]
        try await PlumePackage.store(
            Self.files, as: "quill_2.0.orig.tar.gz", top: "quill-2.0", in: mirror + "/upstream/quill/2.0", directory)
        try await PlumePackage.store(
            debian, as: "quill_2.0-1.debian.tar.xz", top: "", in: mirror + "/debian/quill/2.0-1", directory)
        for (name, text) in patches { debian["debian/patches/\(name)"] = text }
        try await PlumePackage.store(
            debian, as: "quill_2.0-2.debian.tar.xz", top: "", in: mirror + "/debian/quill/2.0-2", directory)
        let package = directory + "/package"
        try await PlumePackage.write(
            [
                "DEBIAN/control":
                    "Package: libquill2\nVersion: 2.0-1\nArchitecture: amd64\nMaintainer: A <a@example.org>\nDescription: x\n",
                "usr/lib/libquill.so.2": "not looked at",
            ], to: package)
        let binary = mirror + "/binary/libquill2/2.0-1"
        try await shell(
            "mkdir -p \(binary); dpkg-deb -b \(package) \(binary)/libquill2_2.0-1_amd64.deb >/dev/null;"
                + "cd \(binary); sha256sum *.deb >SHA256SUMS")
    }

    /// The recipe of a fix by patches, for one flavour or, with none, for whatever has the target's name.
    func recipe(_ patches: [String], flavour: String?) -> Recipe {
        Recipe(
            location: .init(suite: Self.suite, source: "quill", identifier: "fix"), cves: [],
            target: .init(
                package: "libquill2", object: "usr/lib/libquill.so.2",
                linked: flavour.map { "debian/build-\($0)/lib/.libs/libquill.so.2" } ?? ""),
            vulnerable: ["2.0-1"], fixed: [.source("2.0-2")], fix: .patches(patches))
    }

    /// The fix made ready.
    func prepare(_ patches: [String], flavour: String?) async throws -> PreparedFix {
        try await FixPreparation.prepare(recipe: recipe(patches, flavour: flavour), build: build, cache: cache)
    }

    /// A patch of one line of a file.
    static func patch(_ path: String, line: Int = 1, _ old: String, _ new: String) -> String {
        "--- a/\(path)\n+++ b/\(path)\n@@ -\(line) +\(line) @@\n-\(old)\n+\(new)\n"
    }
}
