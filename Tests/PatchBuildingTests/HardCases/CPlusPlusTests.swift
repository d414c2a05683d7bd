//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import PatchBuilding
import Testing

private typealias Edit = SourceFixture.Edit
private typealias File = SourceFixture.File

/// What C++ adds: exceptions, templates, virtual functions, code that runs once.
@Suite("C++")
struct CPlusPlusTests {
    private static let source = """
        #include <stdexcept>
        #include <string>
        template <typename T> __attribute__((noinline)) T scaled(T x) {
            T r = x * 3 + 1;
            for (T i = 0; i < x; i++) r ^= i << 2;
            return r;
        }
        inline __attribute__((noinline)) int shared(int x) {
            int r = 21;
            for (int i = 0; i < x; i++) r = r * 5 ^ i;
            return r;
        }
        struct shape {
            virtual ~shape();
            virtual int area(int x) const;
            virtual int corners(int x) const { return x * 4 + (x ^ 3); }
        };
        struct square : shape { int area(int x) const override; };
        shape::~shape() {}
        int shape::area(int x) const { return x + 1; }
        int square::area(int x) const { int r = x * x + 1; for (int i = 0; i < x; i++) r ^= i * 7; return r; }
        static square one;
        static shape two;
        struct counter { int value; counter() noexcept; };
        counter::counter() noexcept : value(41) {}
        static counter start;
        extern "C" int use_template(int x) { return scaled(x) + (int)scaled((long)x); }
        extern "C" int use_inline(int x) { return shared(x) + 2; }
        extern "C" int use_virtual(int x) {
            const shape *s = x & 1 ? (const shape *)&one : &two;
            asm("" : "+r"(s));
            return s->area(x) + s->corners(x);
        }
        extern "C" int use_guard(int x) { static counter c; return c.value + x; }
        extern "C" int use_throw(int x) {
            try { if (x > 3) throw std::runtime_error("x"); return x; } catch (std::exception &) { return -x; }
        }
        extern "C" int use_cleanup(int x) { std::string s(x, 'a'); s += "bc"; return s.size(); }
        extern "C" int plain(int x) { return start.value + x; }
        __attribute__((noinline)) int thrower(int x) { if (x > 3) throw x; return x; }
        extern "C" int passed_through(int x) { return thrower(x) + 1; }
        extern "C" int catcher(int x) { try { return passed_through(x); } catch (int y) { return -y; } }
        static __attribute__((noinline)) int calm(int x) { int r = x; for (int i = 0; i < x; i++) r ^= r << 1; return r; }
        extern "C" int use_calm(int x) { return calm(x) * 2; }
        typedef int (*callback)(int);
        static callback kept;
        extern "C" int keep(int x) {
            kept = [](int y) { return y * 7 + 1; };
            return x;
        }
        extern "C" int run_kept(int x) { return kept ? kept(x) : -1; }
        """
    private static let fixture = Result { try SourceFixture(source, name: "first.cc") }

    @Test("A template's instance is replaced where it is, in its group")
    func template() throws {
        try Self.fixture.get().prove(
            [Edit("first.cc", "T r = x * 3 + 1", "T r = x * 3 + 2")],
            [.call("use_template", 3), .call("use_template", 8)])
    }

    @Test("An inline function is replaced where it is, in its group")
    func inlineFunction() throws {
        let outcome = try Self.fixture.get().prove(
            [Edit("first.cc", "r * 5 ^ i", "r * 9 ^ i")], functions: ["_Z6sharedi"], [.call("use_inline", 5)])
        #expect(outcome.patch?.entries.count == 1)
    }

    @Test("A virtual function is replaced, and the table that leads to it stays")
    func virtualFunction() throws {
        let fixture = try Self.fixture.get()
        try fixture.prove(
            [Edit("first.cc", "r ^= i * 7", "r ^= i * 9")], functions: ["_ZNK6square4areaEi"],
            [.call("use_virtual", 3), .call("use_virtual", 4)])
    }

    @Test("A new virtual function is never automatic: objects hold the old table")
    func newVirtualFunction() throws {
        let outcome = try Self.fixture.get().outcome(
            "struct square : shape { int area(int x) const override;",
            "struct square : shape { int corners(int x) const override { return x; } int area(int x) const override;")
        #expect(outcome.judgement.word == "review", "\(outcome.judgement)")
        #expect(outcome.judgement.reasons.contains { $0.code == .changedData })
    }

    @Test("A variable that is made once keeps its guard")
    func staticGuard() throws {
        let fixture = try Self.fixture.get()
        let outcome = try fixture.outcome("c.value + x;", "c.value + x * 10;")
        // Making it calls the run-time library, which may throw for all that is known.
        #expect(Set(outcome.judgement.reasons.map(\.code)) == [.exceptionHandling], "\(outcome.judgement)")
        // Without exceptions it is as good as C.
        let calm = try SourceFixture(
            [File(name: "first.c", text: "")] + [
                File(
                    name: "guard.cc",
                    text: """
                        struct counter { int value; counter() noexcept; };
                        counter::counter() noexcept : value(41) {}
                        extern "C" int bump(int x) { static int calls = x; return ++calls; }
                        """, flags: ["-fno-exceptions", "-fno-threadsafe-statics"])
            ])
        defer { calm.remove() }
        let plain = try calm.outcome([Edit("guard.cc", "return ++calls;", "return calls += 10;")])
        let patch = try #require(plain.patch, "\(plain.judgement)")
        #expect(try calm.exercise(patch, [.call("bump", 5)]).map(\.[0]) == ["6", "7", "17", "27", "28"])
    }

    @Test("Code that runs before all else is not patched")
    func staticInitialiser() throws {
        let outcome = try Self.fixture.get().outcome(
            "static counter start;", "static counter start; static counter second;")
        #expect(outcome.judgement.word == "review", "\(outcome.judgement)")
        #expect(outcome.judgement.reasons.contains { $0.code == .startOrEndCode })
    }

    @Test("Handlers and cleanup are for a person to judge")
    func exceptions() throws {
        let fixture = try Self.fixture.get()
        try fixture.refuse([Edit("first.cc", "return -x;", "return -x - 1;")], .exceptionHandling)
        try fixture.refuse([Edit("first.cc", "s += \"bc\"", "s += \"bcd\"")], .exceptionHandling)
    }

    @Test("So is a function that has neither and that an exception passes through")
    func passage() throws {
        let fixture = try Self.fixture.get()
        try fixture.refuse([Edit("first.cc", "thrower(x) + 1", "thrower(x) + 2")], .exceptionHandling)
        try fixture.prove(
            [Edit("first.cc", "calm(x) * 2", "calm(x) * 3")], functions: ["use_calm"], [.call("use_calm", 3)])
    }

    @Test("A closure is not taken for another one, though the compiler only numbers them")
    func closures() throws {
        let fixture = try Self.fixture.get()
        // The process holds the address of the first one, which is the second after the fix.
        let outcome = try fixture.outcome(
            "kept = [](int y) { return y * 7 + 1; };",
            "callback early = [](int y) { return y * 100; }; asm volatile(\"\" : \"+r\"(early)); kept = [](int y) { return y * 7 + 1; };"
        )
        let closure = outcome.functions.filter { $0.name.contains("4_FUN") }
        #expect(closure.map(\.sizeBefore) == [nil], "\(outcome.functions)")
        #expect(outcome.judgement.word == "review", "\(outcome.judgement)")
        // Where both are edited, nothing tells them apart.
        let two = try SourceFixture(
            [
                SourceFixture.File(
                    name: "first.cc",
                    text: """
                        typedef int (*callback)(int);
                        callback first, second;
                        extern "C" int keep(int x) {
                            first = [](int y) { return y * 7 + 1; };
                            second = [](int y) { return y * 9 + 2; };
                            return x;
                        }
                        """)
            ])
        defer { two.remove() }
        try two.refuse([Edit("first.cc", "y * 7", "y * 8"), Edit("first.cc", "y * 9", "y * 10")], .ambiguousName)
    }
}
