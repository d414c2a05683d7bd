//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import PatchBuilding
import Testing

@Suite("Matching rebuilt objects against a stripped library")
struct MatchingTests {
    @Test(
        "Every function is where the symbol table has it",
        arguments: [["-Wl,-z,now"], ["-Wl,-z,lazy"], ["-Wl,-Bsymbolic"]])
    func everyFunction(linkerFlags: [String]) throws {
        let fixture = try MatchingFixture(FixtureSources.both, linkerFlags: linkerFlags)
        defer { fixture.remove() }
        let truth = try fixture.symbolTable()
        let placement = try ObjectMatching.place(try fixture.objects(), in: fixture.shipped)
        #expect(placement.contradictions.isEmpty)
        var functions = 0
        for object in placement.objects {
            #expect(object.differingLiterals == 0)
            #expect(object.differingData.isEmpty)
            for code in object.code { #expect(code.status == .placed, "\(object.name) \(code.name)") }
            for function in object.functions {
                #expect(truth[function.name] == function.address, "\(function.name)")
                functions += 1
            }
        }
        #expect(functions >= 24)
    }

    @Test("An object with another instruction is not found")
    func otherCode() throws {
        let fixture = try MatchingFixture(FixtureSources.both)
        defer { fixture.remove() }
        var objects = try fixture.objects()
        let changed = try MatchingFixture([
            ("first.c", FixtureSources.first.replacingOccurrences(of: "x * 3 + 4", with: "x * 3 + 5")),
            FixtureSources.both[1],
        ])
        defer { changed.remove() }
        objects[0].prePlain = try changed.objects()[0].prePlain
        let placement = try ObjectMatching.place(objects, in: fixture.shipped)
        #expect(placement.objects[0].code.first { $0.name == ".text" }?.status == .absent)
        #expect(placement.objects[1].code.allSatisfy { $0.status == .placed })
    }

    @Test("A string with other contents is told, and its object still found")
    func otherString() throws {
        let fixture = try MatchingFixture(FixtureSources.both)
        defer { fixture.remove() }
        var objects = try fixture.objects()
        let changed = try MatchingFixture([
            ("first.c", FixtureSources.first.replacingOccurrences(of: "case one", with: "case two")),
            FixtureSources.both[1],
        ])
        defer { changed.remove() }
        objects[0].prePlain = try changed.objects()[0].prePlain
        let placement = try ObjectMatching.place(objects, in: fixture.shipped)
        #expect(placement.objects[0].differingLiterals == 1)
    }

    @Test("Two objects with the same code are told apart by what they refer to")
    func twins() throws {
        let text = { (name: String) in
            """
            static int state_\(name);
            extern int shared(int);
            __attribute__((noinline)) static int step(int x) { state_\(name) += x; return shared(state_\(name)) * 3; }
            int enter_\(name)(int x) { return step(x) + step(x + 1); }
            """
        }
        let fixture = try MatchingFixture([
            ("a.c", text("a")), ("b.c", text("b")), ("c.c", "int shared(int x) { return x ^ 5; }"),
        ])
        defer { fixture.remove() }
        let truth = try fixture.symbolTable()
        let placement = try ObjectMatching.place(try fixture.objects(), in: fixture.shipped)
        for object in placement.objects {
            for function in object.functions where function.name.hasPrefix("enter") {
                #expect(truth[function.name] == function.address)
            }
        }
        #expect(placement.objects.allSatisfy { $0.functions.count >= 1 })
    }

    @Test("Hidden functions with the same code are told apart by the variables that others tell the places of")
    func hiddenTwins() throws {
        let hidden = "__attribute__((visibility(\"hidden\")))"
        let body = "(int x) { value += x; return (x * 77 + 1234567) ^ (x << 3) ^ value; }"
        let fixture = try MatchingFixture([
            (
                "a.c",
                "extern \(hidden) int value_a;\n\(hidden) int a\(body.replacingOccurrences(of: "value", with: "value_a"))"
            ),
            (
                "b.c",
                "extern \(hidden) int value_b;\n\(hidden) int b\(body.replacingOccurrences(of: "value", with: "value_b"))"
            ),
            (
                "c.c",
                "\(hidden) int value_a; \(hidden) int value_b; int both(int x) { return value_a * x + value_b / (x + 5) + x * 99; }"
            ),
        ])
        defer { fixture.remove() }
        let truth = try fixture.symbolTable()
        let placement = try ObjectMatching.place(try fixture.objects(), in: fixture.shipped)
        #expect(placement.objects[0].functions.first?.address == truth["a"])
        #expect(placement.objects[1].functions.first?.address == truth["b"])
        // Without the third object nothing tells them apart.
        let alone = try ObjectMatching.place(Array(try fixture.objects().dropFirst().dropLast()), in: fixture.shipped)
        #expect(alone.objects[0].code.map(\.status) == [.ambiguous(places: 2)])
    }

    @Test("Hidden functions with the same code are told apart by their strings")
    func twinsWithStrings() throws {
        let text = { (name: String) in
            """
            __attribute__((visibility("hidden"))) const char *\(name)(int x) {
                return x * 77 + 1234567 > (x << 3) ? "the string of \(name)" : 0;
            }
            """
        }
        let fixture = try MatchingFixture([("a.c", text("a")), ("b.c", text("b"))])
        defer { fixture.remove() }
        let truth = try fixture.symbolTable()
        for (index, name) in ["a", "b"].enumerated() {
            let placement = try ObjectMatching.place([try fixture.objects()[index]], in: fixture.shipped)
            #expect(placement.objects[0].functions.first?.address == truth[name])
            #expect(placement.objects[0].differingLiterals == 0)
        }
    }

    @Test("Code that is there twice and that nothing tells apart is ambiguous")
    func ambiguous() throws {
        let body = "(int x) { int y = x * 77 + 1234567; return y ^ (y >> 7) ^ (x << 3) ^ 0x55aa55aa; }"
        let fixture = try MatchingFixture(
            [
                ("a.c", "__attribute__((visibility(\"hidden\"))) int a\(body)"),
                ("b.c", "__attribute__((visibility(\"hidden\"))) int b\(body)"),
            ])
        defer { fixture.remove() }
        let objects = try fixture.objects()
        let placement = try ObjectMatching.place([objects[1]], in: fixture.shipped)
        #expect(placement.objects[0].code.map(\.status) == [.ambiguous(places: 2)])
        #expect(placement.objects[0].functions.isEmpty)
    }

    @Test("What is no ELF file, or another one, is refused")
    func notAnObject() throws {
        let fixture = try MatchingFixture([("second.c", FixtureSources.second)])
        defer { fixture.remove() }
        let objects = try fixture.objects()
        #expect(throws: PatchBuildingError.self) { try ObjectMatching.place(objects, in: [1, 2, 3]) }
        #expect(throws: PatchBuildingError.self) { try ObjectMatching.place(objects, in: objects[0].prePlain) }
        var broken = objects
        broken[0].prePlain = fixture.shipped
        #expect(throws: PatchBuildingError.self) { try ObjectMatching.place(broken, in: fixture.shipped) }
    }

    @Test("Any prefix of an object and any flipped byte gives an answer, never a trap")
    func hostileObjects() throws {
        let fixture = try MatchingFixture([("second.c", FixtureSources.second)])
        defer { fixture.remove() }
        let objects = try fixture.objects()
        let plain = objects[0].prePlain
        for count in stride(from: 0, to: plain.count, by: 97) {
            var cut = objects
            cut[0].prePlain = Array(plain.prefix(count))
            _ = try? ObjectMatching.place(cut, in: fixture.shipped)
        }
        for position in stride(from: 0, to: plain.count, by: 7) {
            var flipped = objects
            flipped[0].prePlain[position] ^= 0xff
            _ = try? ObjectMatching.place(flipped, in: fixture.shipped)
        }
        for position in stride(from: 0, to: fixture.shipped.count, by: 61) {
            var shipped = fixture.shipped
            shipped[position] ^= 0xff
            _ = try? ObjectMatching.place(objects, in: shipped)
        }
    }
}
