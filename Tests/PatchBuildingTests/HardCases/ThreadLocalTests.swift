//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import LivePatch
import PatchBuilding
import Testing

/// Thread-local variables, reached in every model that a compiler knows and every way that a linker rewrites.
@Suite("Thread-local variables")
struct ThreadLocalTests {
    /// A static, a hidden and an exported variable, initialised or not; values are set by functions that no edit
    /// touches, and read by those that are edited.
    private static let source = """
        static __thread int own = 5;
        static __thread long wide;
        __attribute__((visibility("hidden"))) extern __thread int hidden;
        extern __thread int shown;
        __thread int exported = 7;
        int set(int x) { own = x; wide = x * 10; hidden = x * 100; shown = x * 1000; exported = x + 2; return x; }
        int use_own(int x) { return own * x + 1; }
        int use_two(int x) { return own * x + (int)wide + 2; }
        int use_hidden(int x) { return hidden + x; }
        int use_shown(int x) { return shown - x; }
        int use_exported(int x) { return exported + x * 3; }
        int *address_of(int x) { return &own + (x & 0); }
        int alone(int x) { return x * 5; }
        """
    private static let other = """
        __attribute__((visibility("hidden"))) __thread int hidden = 3;
        __thread int shown = 4;
        __thread char filler[3] = {1, 2, 3};
        int use_filler(int x) { return filler[x]; }
        """
    private static let files = [
        SourceFixture.File(name: "first.c", text: source), SourceFixture.File(name: "second.c", text: other),
    ]
    private static let edits = [
        ("own * x + 1", "own * x + 1001", "use_own"), ("(int)wide + 2", "(int)wide - 2", "use_two"),
        ("hidden + x", "hidden + x * 2", "use_hidden"), ("shown - x", "shown * 2 - x", "use_shown"),
        ("exported + x * 3", "exported * 2 + x * 3", "use_exported"),
    ]
    private static let steps: [PatchDriver.Step] = ["use_own", "use_two", "use_hidden", "use_shown", "use_exported"]
        .flatMap { name -> [PatchDriver.Step] in
            [.call("set", 6), .call(name, 2), .thread(name, 2), .call(name, 3)]
        }

    /// One after the other: each edit alone.
    private func prove(_ fixture: SourceFixture) throws {
        defer { fixture.remove() }
        let placement = try ObjectMatching.place(try fixture.objects(fixture.files), in: fixture.shipped)
        #expect(placement.contradictions.isEmpty)
        #expect(placement.objects.allSatisfy { $0.code.allSatisfy { $0.status == .placed } })
        for (old, new, function) in Self.edits {
            try fixture.prove([SourceFixture.Edit("first.c", old, new)], functions: [function], Self.steps)
        }
        // All at once: the pieces share slots.
        try fixture.prove(Self.edits.map { SourceFixture.Edit("first.c", $0.0, $0.1) }, Self.steps)
    }

    /// Whether the objects have relocations of these types, so that a test is about what it says.
    private func requireRelocations(_ fixture: SourceFixture, _ types: [String]) throws {
        let text = try CommandLineTool.run(["readelf", "-rW", "before/first.c.o"], in: fixture.directory)
        for type in types { #expect(text.contains("R_X86_64_" + type + " "), "\(type)") }
    }

    @Test("General and local dynamic, in a library, with and without PLT", arguments: [[], ["-fno-plt"]])
    func generalAndLocalDynamic(flags: [String]) throws {
        let fixture = try SourceFixture(Self.files, flags: flags)
        try requireRelocations(fixture, ["TLSGD", "TLSLD", "DTPOFF32"])
        try prove(fixture)
    }

    @Test("General dynamic for what is the library's own")
    func generalDynamicOfOwn() throws {
        let fixture = try SourceFixture(Self.files, flags: ["-ftls-model=global-dynamic"])
        // GCC makes local dynamic of it where it can; the linker does not.
        try prove(fixture)
    }

    @Test("Initial exec, in a library")
    func initialExec() throws {
        let fixture = try SourceFixture(Self.files, flags: ["-ftls-model=initial-exec"])
        try requireRelocations(fixture, ["GOTTPOFF"])
        try prove(fixture)
    }

    @Test("Descriptors, in a library")
    func descriptors() throws {
        let fixture = try SourceFixture(Self.files, flags: ["-mtls-dialect=gnu2"])
        try requireRelocations(fixture, ["GOTPC32_TLSDESC", "TLSDESC_CALL"])
        try prove(fixture)
    }

    @Test("General dynamic that the linker made initial exec, since another object asks for that")
    func mixedModels() throws {
        var files = Self.files
        files[1].text +=
            "\n__attribute__((tls_model(\"initial-exec\"))) extern __thread int exported;\nint third(int x) { return exported + x; }"
        try prove(try SourceFixture(files))
    }

    @Test(
        "Local exec, and what a linker makes into it, in a program",
        arguments: [
            (["-fPIE"], ["-pie"], ["TPOFF32"]), (["-fno-pie"], ["-no-pie"], ["TPOFF32"]),
            (["-fPIC"], ["-pie"], ["TLSGD", "TLSLD", "DTPOFF32"]),
            (["-fPIC", "-fno-plt"], ["-pie"], ["TLSGD", "TLSLD"]),
            (["-fPIC", "-ftls-model=initial-exec"], ["-pie"], ["GOTTPOFF"]),
            (["-fPIC", "-mtls-dialect=gnu2"], ["-no-pie"], ["GOTPC32_TLSDESC"]),
        ])
    func program(flags: [String], link: [String], types: [String]) throws {
        let fixture = try SourceFixture(Self.files, kind: .program(link), flags: flags)
        try requireRelocations(fixture, types)
        let relocations = try CommandLineTool.run(["readelf", "-rW", fixture.target.path], in: fixture.directory)
        #expect(!relocations.contains("DTPMOD64"))
        try prove(fixture)
    }

    @Test("A variable of a library, in a program: the linker makes initial exec of all", arguments: ["-fPIC", "-fPIE"])
    func imported(flag: String) throws {
        let library = try SourceFixture([SourceFixture.File(name: "second.c", text: "__thread int shown = 4;")])
        defer { library.remove() }
        let fixture = try SourceFixture(
            [
                SourceFixture.File(
                    name: "first.c",
                    text:
                        "extern __thread int shown; int set(int x) { return shown = x; }\nint use_shown(int x) { return shown - x; }"
                )
            ], kind: .program(["-pie"]), flags: [flag],
            linkerFlags: [library.target.path, "-Wl,-rpath," + library.directory.path])
        defer { fixture.remove() }
        try fixture.prove(
            [SourceFixture.Edit("first.c", "shown - x", "shown * 2 - x")],
            [.call("set", 9), .call("use_shown", 2), .thread("use_shown", 2)])
    }

    @Test("A new variable, a changed initialiser and a removed variable are for a person to judge")
    func changedVariables() throws {
        let fixture = try SourceFixture(Self.files)
        defer { fixture.remove() }
        try fixture.refuse(
            [SourceFixture.Edit("first.c", "return x * 5;", "static __thread int seen; return x * 5 + seen++;")],
            .threadLocalStorage)
        try fixture.refuse([SourceFixture.Edit("first.c", "own = 5", "own = 6")], .threadLocalStorage)
        try fixture.refuse(
            [
                SourceFixture.Edit("first.c", "static __thread long wide;", ""),
                SourceFixture.Edit("first.c", "wide = x * 10;", ""),
                SourceFixture.Edit("first.c", " + (int)wide", ""),
            ], .threadLocalStorage)
    }

    @Test("Where no changed function allocated the block before, none may do it now")
    func firstUse() throws {
        for flags in [[], ["-mtls-dialect=gnu2"], ["-ftls-model=global-dynamic"]] {
            let fixture = try SourceFixture(Self.files, flags: flags)
            defer { fixture.remove() }
            try fixture.refuse([SourceFixture.Edit("first.c", "x * 5", "x * 5 + own")], .threadLocalStorage)
            try fixture.refuse([SourceFixture.Edit("first.c", "x * 5", "x * 5 + shown")], .threadLocalStorage)
        }
        // What is allocated with the thread itself, any function may use.
        let fixture = try SourceFixture(Self.files, flags: ["-ftls-model=initial-exec"])
        defer { fixture.remove() }
        try fixture.prove(
            [SourceFixture.Edit("first.c", "x * 5", "x * 5 + own")],
            [.call("set", 6), .call("alone", 1), .thread("alone", 1)])
    }

    @Test("An access of another model, for which the target has no slot")
    func otherModel() throws {
        let fixture = try SourceFixture(Self.files)
        defer { fixture.remove() }
        let edit = SourceFixture.Edit(
            "first.c", "extern __thread int shown;",
            "extern __thread int shown __attribute__((tls_model(\"initial-exec\")));")
        try fixture.refuse([edit], .threadLocalStorage)
    }
}
