//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import DWARF
import ELF
import Foundation
import PatchBuilding
import Testing

/// The whole way: a library whose header a fix changes.
private enum Layouts {
    static let header = """
        #define LIMIT 8
        typedef int number;
        typedef struct { int left; } unnamed;
        struct record { long id; number kind; unnamed u; char *text; };
        struct packet { int length; struct record body; };
        struct flags { unsigned a : 3; unsigned b : 5; };
        union either { int a; char b[4]; };
        enum colour { RED, GREEN, BLUE };
        enum { FIRST = 1, SECOND };
        struct cast_only { char size[16]; };
        struct opaque;
        """
    static let source = """
        #include <stdlib.h>
        #include "shared.h"
        static struct { int count; } state;
        static long total;
        int bump(int x) { static int seen; seen += x; state.count += seen; total++; return LIMIT * x + seen; }
        long id_of(struct packet *p) { return p->body.id + p->length; }
        void *allocate(void) { return malloc(sizeof(struct cast_only)); }
        int colour_of(struct flags *f, enum colour c, union either *e) { return f->b + c + e->a; }
        """
    static let fixture = Result {
        try MatchingFixture([("first.c", source)], headers: [("shared.h", header)])
    }

    /// A change of the code too, so that there is something to patch.
    static let code = ("first.c", "LIMIT * x + seen", "LIMIT * x - seen")
}

@Suite("What becomes of a changed layout")
struct LayoutTests {
    private func outcome(_ old: String, _ new: String, in file: String = "shared.h") throws -> Outcome {
        try Layouts.fixture.get().outcome([Layouts.code, (file, old, new)], headers: ["shared.h"])
    }

    @Test(
        "A touched header whose layouts stay is no reason",
        arguments: [
            ("#define LIMIT 8", "#define LIMIT 9"),
            ("struct opaque;", "struct opaque { int x; };\nstruct more { int y; };"),
            ("typedef int number;", "typedef signed int number;"), ("char *text", "const char *text"),
            ("struct opaque;", ""), ("union either { int a;", "union either { /* whole */ int a;"),
            ("struct flags { unsigned a", "typedef int other;\nstruct flags { unsigned int a"),
            ("number kind;", "int kind;"),
        ])
    func unchanged(old: String, new: String) throws {
        let outcome = try outcome(old, new)
        #expect(outcome.judgement == .automatic)
        #expect(outcome.layoutChanges.isEmpty)
        #expect(outcome.patch != nil)
    }

    /// Edits of the header, and what is found, one line for each type.
    static let edits: [(old: String, new: String, found: [String])] = [
        (
            "char *text; };", "char *text; int more; };",
            [
                "struct packet: size 32 -> 40 bytes; member body: size 24 -> 32 bytes",
                "struct record: size 24 -> 32 bytes; member more (int) is new at offset 24",
            ]
        ),
        (
            "unnamed u; char *text", "char *text",
            [
                "struct record: member u (unnamed) is gone from offset 12"
            ]
        ),
        (
            "long id; number kind;", "number kind; long id;",
            [
                "struct packet: size 32 -> 40 bytes; member body: size 24 -> 32 bytes",
                "struct record: size 24 -> 32 bytes; member id: offset 0 -> offset 8; member kind: offset 8 -> offset 0; "
                    + "member u: offset 12 -> offset 16; member text: offset 16 -> offset 24",
            ]
        ),
        (
            "typedef int number;", "typedef float number;",
            ["struct record: member kind: type number (int) -> number (float)", "typedef number: type int -> float"]
        ),
        (
            "unsigned a : 3; unsigned b : 5;", "unsigned a : 4; unsigned b : 5;",
            [
                "struct flags: member a: bit 0 with 3 bits -> bit 0 with 4 bits; member b: bit 3 with 5 bits -> bit 4 with 5 bits"
            ]
        ),
        (
            "GREEN, BLUE", "LATE, GREEN, BLUE",
            ["enum colour: enumerator GREEN: 1 -> 2; enumerator BLUE: 2 -> 3; enumerator LATE = 1 is new"]
        ),
        ("GREEN, BLUE", "GREEN, BLUE, LAST", ["enum colour: enumerator LAST = 3 is new"]),
        ("GREEN, BLUE", "GREEN", ["enum colour: enumerator BLUE = 2 is gone"]),
        (
            "FIRST = 1", "FIRST = -1",
            [
                "enum (unnamed, with FIRST): type unsigned int -> int; enumerator FIRST: 1 -> -1; enumerator SECOND: 2 -> 0"
            ]
        ),
        ("char b[4]; }", "char b[8]; }", ["union either: size 4 -> 8 bytes; member b: type char[4] -> char[8]"]),
        ("int left;", "unsigned left;", ["struct unnamed: member left: type int -> unsigned int"]),
        (
            "char size[16];", "char size[24];",
            ["struct cast_only: size 16 -> 24 bytes; member size: type char[16] -> char[24]"]
        ),
        (
            "struct record { long id", "struct __attribute__((aligned(8))) record { long id",
            ["struct packet: alignment natural -> 8", "struct record: alignment natural -> 8"]
        ),
    ]

    @Test("Each kind of change is review, with numbers", arguments: edits)
    func changed(old: String, new: String, found: [String]) throws {
        let outcome = try outcome(old, new)
        let texts = outcome.layoutChanges.map {
            "\($0.subject): \($0.differences.map(\.description).joined(separator: "; "))"
        }
        #expect(texts == found.sorted())
        #expect(outcome.judgement.word == "review")
        #expect(outcome.patch == nil)
        let reasons = outcome.judgement.reasons.filter { $0.code == .changedLayout }
        #expect(reasons.map(\.subject) == outcome.layoutChanges.map(\.subject))
        #expect(!outcome.judgement.reasons.contains { $0.code == .headerTouched })
        for (change, reason) in zip(outcome.layoutChanges, reasons) {
            #expect(change.objects == ["first.c"])
            let before = try #require(change.before)
            #expect(before.file.hasSuffix("/shared.h") && before.line > 1)
            #expect(reason.text.contains(before.description))
            for difference in change.differences { #expect(reason.text.contains(difference.description)) }
        }
    }

    @Test("A change says which changed functions use the type, and where it is declared before and after")
    func users() throws {
        let outcome = try Layouts.fixture.get().outcome([
            ("first.c", "p->body.id + p->length", "p->body.id - p->length"),
            ("shared.h", "struct record {", "\n\nstruct record { short first;"),
        ])
        #expect(outcome.functions.map(\.name) == ["id_of"])
        let change = try #require(outcome.layoutChanges.first { $0.name == "record" })
        #expect(change.functions == ["id_of"])
        #expect(change.before?.line == 4)
        #expect(change.after?.line == 6)
        let reason = try #require(outcome.judgement.reasons.first { $0.subject == "struct record" })
        #expect(reason.text.contains("shared.h:4, after the fix "))
        #expect(reason.text.contains("Used by id_of"))
    }

    @Test("A type that no changed function is seen to use is review all the same: it may be cast to")
    func castOnly() throws {
        let outcome = try Layouts.fixture.get().outcome([("shared.h", "char size[16];", "char size[24];")])
        #expect(outcome.functions.map(\.name) == ["allocate"])
        #expect(outcome.layoutChanges.map(\.subject) == ["struct cast_only"])
        #expect(outcome.layoutChanges.first?.functions == [])
        #expect(outcome.judgement.reasons.map(\.code) == [.changedLayout])
    }

    @Test(
        "A variable that changes its type and keeps its size",
        arguments: [
            ("static int seen;", "static unsigned seen;", "variable bump::seen: type int -> unsigned int"),
            ("static long total;", "static double total;", "variable total: type long int -> double"),
            ("{ int count; } state", "{ float count; } state", "struct state: member count: type int -> float"),
        ])
    func variables(old: String, new: String, found: String) throws {
        let outcome = try outcome(old, new, in: "first.c")
        let texts = outcome.layoutChanges.map {
            "\($0.subject): \($0.differences.map(\.description).joined(separator: "; "))"
        }
        #expect(texts == [found])
        #expect(outcome.judgement.word == "review")
    }

    @Test("Without a change of code there is nothing to patch, whatever the layouts are")
    func noCode() throws {
        let outcome = try Layouts.fixture.get().outcome(
            [("shared.h", "struct record { long id", "struct record { short s; long id")], headers: ["shared.h"])
        #expect(outcome.functions.map(\.name) == ["id_of"])
        let none = try Layouts.fixture.get().outcome([("shared.h", "char *text; };", "char *text; int more; };")])
        #expect(none.judgement == .empty)
        #expect(none.layoutChanges.isEmpty)
    }

    @Test("Without debug information a touched header is for a person to judge, and so is any change")
    func withoutInformation() throws {
        let flags = ["-ffunction-sections", "-fdata-sections", "-g0"]
        let touched = try Layouts.fixture.get().outcome([Layouts.code], headers: ["shared.h"], flags: flags)
        #expect(touched.judgement.reasons.map(\.code) == [.headerTouched])
        #expect(touched.judgement.reasons.first?.text.contains("no debug information of first.c") == true)
        #expect(touched.judgement.word == "review")
        let untouched = try Layouts.fixture.get().outcome([Layouts.code], flags: flags)
        #expect(untouched.judgement.reasons.map(\.code) == [.notUnderstood])
    }

    @Test("Debug information that cannot be read is said so")
    func unreadable() throws {
        let flags = ["-ffunction-sections", "-fdata-sections", "-gdwarf-5", "-gz=zlib"]
        let outcome = try Layouts.fixture.get().outcome([Layouts.code], headers: ["shared.h"], flags: flags)
        #expect(outcome.judgement.reasons.map(\.code) == [.notUnderstood])
        #expect(outcome.judgement.reasons.first?.text.contains("compressed") == true)
    }

    @Test("Damaged debug information gives a reason or another answer, and never an end of the builder")
    func damaged() throws {
        let object = try #require(try Layouts.fixture.get().objects().first)
        let contents = try ELFFile(object.post).withImage { image in
            let section = try #require(try image.section(named: ".debug_info"))
            return Int(section.offset)..<Int(section.offset + section.size)
        }
        let last = contents.lowerBound + min(contents.count, 1400)
        var counts = (reasons: 0, changes: 0)
        for index in contents.lowerBound..<last {
            var bytes = object.post
            bytes[index] ^= 0xff
            let found = try LayoutComparing.changes(pre: object.pre, post: bytes, name: "first.c")
            if !found.changes.isEmpty { counts.changes += 1 } else if !found.reasons.isEmpty { counts.reasons += 1 }
        }
        #expect(counts.reasons > 100)
        #expect(counts.changes > 20)
    }

    @Test("The debug information that is added changes no code and no data")
    func sameCode() throws {
        let fixture = try MatchingFixture(FixtureSources.both)
        defer { fixture.remove() }
        let sections = ["-ffunction-sections", "-fdata-sections"]
        for (with, without) in zip(try fixture.objects(), try fixture.objects(flags: sections)) {
            #expect(with.pre != without.pre)
            #expect(try ObjectDiffing.differences(pre: without.pre, post: with.pre, name: with.name) == [])
        }
    }
}

@Suite("What becomes of a changed layout in C++")
struct ClassLayoutTests {
    private static let header = """
        namespace outer {
        class base { public: virtual int f() { return 1; } virtual int g() { return 2; } int a; };
        struct derived : public base { long b; static int shared; };
        enum class small : unsigned char { one = 1 };
        }
        """
    private static let fixture = Result {
        try MatchingFixture(
            [
                (
                    "first.cc",
                    """
                    #include "shared.h"
                    extern "C" int work(outer::base *p, outer::derived *d, outer::small s) { return p->f() + d->b + int(s); }
                    extern "C" int alone(int x) { return x * 3; }
                    """
                )
            ], headers: [("shared.h", header)])
    }

    static let edits: [(old: String, new: String, found: [String])] = [
        ("class base {", "struct base {", []),
        ("static int shared;", "static int shared, more;", []),
        (
            "virtual int g()", "virtual int h() { return 3; } virtual int g()",
            [
                "class outer::base: virtual function _ZN5outer4base1gEv: slot 1 -> 2; virtual function _ZN5outer4base1hEv is new"
            ]
        ),
        (
            "int a; };", "long a; };",
            [
                "class outer::base: member a: type int -> long int"
            ]
        ),
        (
            "small : unsigned char", "small : unsigned short",
            ["enum outer::small: size 1 -> 2 bytes; type unsigned char -> short unsigned int"]
        ),
    ]

    @Test("Base classes, virtual functions, enumerations with a type", arguments: edits)
    func changed(old: String, new: String, found: [String]) throws {
        let outcome = try Self.fixture.get().outcome([("first.cc", "x * 3", "x * 5"), ("shared.h", old, new)])
        let texts = outcome.layoutChanges.map {
            "\($0.subject): \($0.differences.map(\.description).joined(separator: "; "))"
        }
        #expect(texts == found)
        #expect(outcome.judgement.reasons.filter { $0.code == .changedLayout }.count == found.count)
    }
}
