//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import PatchBuilding
import Testing

/// A made-up distribution package, complete in a cache, so that everything runs without network.
///
/// The library `libplume.so.1` is linked from objects and from an archive; each source is compiled in two
/// flavours; one directory has a makefile of its own.
struct PlumePackage {
    /// No machine has package sources for it: what is not in the cache cannot be fetched.
    static let suite = "plumage"

    let cache: Cache
    let build: BuildRecipe

    static let files: [String: String] = [
        "Makefile": """
        OBJECTS = shared/one.o shared/two.o
        all: libplume.so.1 libplume.a
        libplume.so.1: $(OBJECTS) inner/libinner.a
        \t$(CC) -shared -o $@ $(OBJECTS) inner/libinner.a $(LDFLAGS)
        libplume.a: static/one.o
        \tar rc $@ $^
        inner/libinner.a:
        \t$(MAKE) -C inner -f ../../src/inner/Makefile libinner.a
        shared/%.o: ../src/%.c
        \t@mkdir -p shared
        \t$(CC) -fPIC $(CPPFLAGS) $(CFLAGS) -I../include -MMD -MF $(@:.o=.d) -c -o $@ $<
        static/%.o: ../src/%.c
        \t@mkdir -p static
        \t$(CC) $(CPPFLAGS) $(CFLAGS) -I../include -c -o $@ $<
        """,
        "src/inner/Makefile": """
        libinner.a: three.o
        \tar rc $@ three.o
        \tranlib $@
        three.o: ../../src/inner/three.c
        \t$(CC) -fPIC $(CPPFLAGS) $(CFLAGS) -I../../include -c $<
        """,
        "include/deep.h": "#define DEEP 5\n",
        "include/shallow.h": "#include \"deep.h\"\n",
        "include/unused.h": "\n",
        "src/one.c": "#include \"shallow.h\"\nint one(void) { return DEEP; }\nint line(void) { return __LINE__; }\n",
        "src/two.c": "struct own { int a; };\nconst char *two(void) { return __FILE__; }\n",
        "src/inner/three.c": "#include \"deep.h\"\nint three(int a) { return a * DEEP; }\n",
        "src/aside.c": "int aside(void) { return 1; }\n",
    ]

    /// Fills a cache below a directory with version 1.0-1, upstream's 1.1 with changes, and the binary package.
    /// `base` is in both versions.
    init(
        in directory: String, base: [String: String] = [:], changes: [String: String],
        shipped: String = "not looked at",
        compile: [String] = ["make -C build -f ../Makefile all"]
    ) async throws {
        cache = Cache(directory: directory + "/cache")
        build = BuildRecipe(
            suite: PlumePackage.suite, source: "plume", buildPath: "/build/{source}-{upstream}",
            dependencies: ["gcc", "make"],
            environment: ["DEB_BUILD_MAINT_OPTIONS": "hardening=+all"], prepare: ["mkdir -p build/inner"],
            compile: compile)
        let mirror = cache.directory + "/mirror/\(PlumePackage.suite)"
        let debian = [
            "debian/changelog":
                "plume (1.0-1) bookworm; urgency=low\n\n  * First.\n\n -- A <a@example.org>  Mon, 06 Jan 2025 12:00:00 +0000\n",
            "debian/patches/series": "# what Debian changed\nnumber.patch -p1\n",
            "debian/patches/number.patch":
                "--- a/include/deep.h\n+++ b/include/deep.h\n@@ -1 +1 @@\n-#define DEEP 5\n+#define DEEP 6\n",
        ]
        try await Self.store(
            Self.files.merging(base) { $1 }, as: "plume_1.0.orig.tar.gz", top: "plume-1.0",
            in: mirror + "/upstream/plume/1.0", directory)
        try await Self.store(
            Self.files.merging(base) { $1 }.merging(changes) { $1 }, as: "plume_1.1.orig.tar.gz", top: "plume-1.1",
            in: mirror + "/upstream/plume/1.1", directory)
        try await Self.store(
            debian, as: "plume_1.0-1.debian.tar.xz", top: "", in: mirror + "/debian/plume/1.0-1", directory)
        let fixed = debian.merging([
            "debian/patches/series": "number.patch\naside.patch\nfix.patch\n",
            // A test that the vulnerable version does not have; the fix changes it too.
            "debian/patches/aside.patch":
                "--- /dev/null\n+++ b/test/gone.c\n@@ -0,0 +1 @@\n+what the old tree has not\n",
            "debian/patches/fix.patch": """
            --- a/src/one.c
            +++ b/src/one.c
            @@ -1,3 +1,4 @@
             #include "shallow.h"
            -int one(void) { return DEEP; }
            +int one(void)
            +{ return DEEP + 2; }
             int line(void) { return __LINE__; }
            --- a/test/gone.c
            +++ b/test/gone.c
            @@ -1,1 +1,1 @@
            -what the old tree has not
            +--- a/src/one.c
            --- /dev/null
            +++ b/doc/news.txt
            @@ -0,0 +1 @@
            +news

            """,
        ]) { $1 }
        try await Self.store(
            fixed, as: "plume_1.0-2.debian.tar.xz", top: "", in: mirror + "/debian/plume/1.0-2", directory)
        let package = directory + "/package"
        try await Self.write(
            [
                "DEBIAN/control":
                    "Package: libplume1\nVersion: 1.0-1\nArchitecture: amd64\nMaintainer: A <a@example.org>\nDescription: x\n",
                "usr/lib/libplume.so.1": shipped,
            ], to: package)
        let binary = mirror + "/binary/libplume1/1.0-1"
        try await shell(
            "mkdir -p \(binary); dpkg-deb -b \(package) \(binary)/libplume1_1.0-1_amd64.deb >/dev/null;"
                + "cd \(binary); sha256sum *.deb >SHA256SUMS")
    }

    /// The recipe of a fix of some files.
    func recipe(_ files: [String]) -> Recipe {
        Recipe(
            location: .init(suite: PlumePackage.suite, source: "plume", identifier: "fix"), cves: [],
            target: .init(package: "libplume1", object: "usr/lib/libplume.so.1"), vulnerable: ["1.0-1"],
            fixed: [.tarball("1.1")], fix: .files(files.map { .init(path: $0) }))
    }

    /// The fix made ready.
    func prepare(_ files: [String]) async throws -> PreparedFix {
        try await FixPreparation.prepare(recipe: recipe(files), build: build, cache: cache)
    }

    static func write(_ files: [String: String], to directory: String) async throws {
        for (path, text) in files {
            let url = URL(filePath: "\(directory)/\(path)")
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: url)
        }
    }

    static func store(
        _ files: [String: String], as name: String, top: String, in slot: String, _ directory: String
    ) async throws {
        let scratch = "\(directory)/\(name).contents"
        try await write(files, to: top.isEmpty ? scratch : "\(scratch)/\(top)")
        try await shell(
            "mkdir -p \(slot); tar -caf \(slot)/\(name) -C \(scratch) $(ls \(scratch)); cd \(slot); sha256sum \(name) >SHA256SUMS"
        )
    }
}
