//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import DWARF
import ELF
import Foundation
import Testing

/// Damaged debug information: whatever the bytes are, reading throws or answers; it never traps and always ends.
@Suite("Hostile debug information")
struct HostileTests {
    /// A generator of numbers that gives the same ones each time (SplitMix64).
    private struct SeededGenerator: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var value = state
            value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
            value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
            return value ^ (value >> 31)
        }
    }

    /// Calls everything that reads; whether anything threw.
    private func walk(_ bytes: [UInt8]) -> Bool {
        var threw = false
        func attempt(_ body: () throws(DWARFError) -> Void) {
            do throws(DWARFError) { try body() } catch { threw = true }
        }
        guard let file = try? ELFFile(bytes), let information = try? DebugInformation(file) else { return true }
        var places = SourcePlaces(information)
        for id in information.namedTypes {
            attempt { () throws(DWARFError) in
                _ = try information.type(id)
                _ = try information.name(of: id)
            }
            attempt { () throws(DWARFError) in
                for member in try information.members(of: id) {
                    _ = try information.spelling(of: member.type)
                    if let type = member.type { _ = try information.sizeInBytes(of: type) }
                }
            }
            attempt { () throws(DWARFError) in _ = try information.enumerators(of: id) }
            attempt { () throws(DWARFError) in _ = try information.virtualFunctions(of: id) }
            attempt { () throws(DWARFError) in _ = try information.parameters(of: id) }
            attempt { () throws(DWARFError) in _ = try places.place(of: id) }
            _ = information.counts(of: id)
        }
        attempt { () throws(DWARFError) in
            for variable in try information.staticVariables() { _ = try information.spelling(of: variable.type) }
        }
        attempt { () throws(DWARFError) in
            for (_, entries) in try information.functions() { _ = try information.typesUsed(by: entries) }
        }
        return threw
    }

    private static let source = """
        typedef struct { int x : 3; } unnamed;
        struct node { struct node *next; unnamed u[2]; union { int a; }; int (*f)(struct node *); };
        enum colour { RED, GREEN };
        static enum colour kept;
        int user(struct node *n) { static unnamed s; kept++; return n->f(n) + s.x; }
        """

    private static let cxx = """
        struct first { virtual int f(); int a; };
        struct third : virtual first { int f(); };
        int third::f() { return a; }
        """

    /// Offset and size of a section in the file, and where its size stands.
    private func section(_ name: String, _ bytes: [UInt8]) throws -> (contents: Range<Int>, sizeField: Int) {
        let file = try ELFFile(bytes)
        return try file.withImage { image in
            let section = try #require(try image.section(named: name))
            return (
                Int(section.offset)..<Int(section.offset + section.size),
                Int(file.header.sectionTableOffset) + 64 * section.index + 32
            )
        }
    }

    @Test("Every shortened section of a linked file", arguments: ["-gdwarf-4", "-gdwarf-5"])
    func everyLength(_ version: String) throws {
        let whole = try withDirectory { directory in
            let object = try compile(Self.source, flags: [version], in: directory)
            try run("ld", ["-shared", "-o", directory + "/a.so", object])
            return try contents(directory + "/a.so")
        }
        #expect(!walk(whole))
        for name in [".debug_info", ".debug_abbrev", ".debug_line"] {
            let (contents, sizeField) = try section(name, whole)
            var threw = 0
            for length in 1..<contents.count {
                var bytes = whole
                for index in 0..<8 { bytes[sizeField + index] = UInt8(truncatingIfNeeded: length >> (8 * index)) }
                if walk(bytes) { threw += 1 }
            }
            // A table of abbreviations or a line program may lose its end unseen, the entries nothing.
            #expect(name == ".debug_info" ? threw == contents.count - 1 : threw > contents.count / 4, "\(name)")
        }
    }

    @Test("Every byte of the sections flipped", arguments: ["-gdwarf-4", "-gdwarf-5"])
    func everyByte(_ version: String) throws {
        for (text, name) in [(Self.source, "example.c"), (Self.cxx, "example.cc")] {
            let whole = try withDirectory { directory in
                try contents(try compile(text, name, flags: [version], in: directory))
            }
            #expect(!walk(whole))
            var threw = 0
            for name in [".debug_info", ".debug_abbrev", ".rela.debug_info"] {
                for index in try section(name, whole).contents {
                    for mask: UInt8 in name == ".rela.debug_info" ? [0x01] : [0xff, 0x01, 0x80] {
                        var bytes = whole
                        bytes[index] ^= mask
                        if walk(bytes) { threw += 1 }
                    }
                }
            }
            #expect(threw > 500)
        }
    }

    @Test("Random damage, in many bytes at once")
    func randomDamage() throws {
        var random = SeededGenerator(state: 11)
        let whole = try withDirectory { directory in
            try contents(try compile(Self.source, in: directory))
        }
        let places = try [".debug_info", ".debug_abbrev", ".debug_line", ".debug_str"].map {
            try section($0, whole).contents
        }
        var threw = 0
        for _ in 0..<1500 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                guard let place = places.randomElement(using: &random), let index = place.randomElement(using: &random)
                else { continue }
                bytes[index] = UInt8.random(in: 0...255, using: &random)
            }
            if walk(bytes) { threw += 1 }
        }
        #expect(threw > 300)
    }

    // MARK: - Made by hand

    /// Debug information of DWARF 5 as assembly: abbreviations, then entries; `unit` is the label that references
    /// within the unit count from.
    private func assembled(_ abbreviations: String, _ entries: String) throws -> DebugInformation {
        try information(
            """
            .section .debug_abbrev,"",@progbits
            .Labbrev: .uleb128 1; .uleb128 0x11; .byte 1; .byte 0, 0
            \(abbreviations)
            .byte 0
            .section .debug_info,"",@progbits
            unit: .long end - start
            start: .short 5; .byte 1, 8; .long 0
            .uleb128 1
            \(entries)
            .byte 0
            end:
            """, "example.s", flags: ["-g0"])
    }

    /// Abbreviation 2: a type of a tag with DW_AT_type as DW_FORM_ref4.
    private func reference(_ tag: Int) -> String { ".uleb128 2; .uleb128 \(tag); .byte 0, 0x49, 0x13, 0, 0" }

    @Test(
        "Types that lead in a circle end",
        arguments: [0x16, 0x0f, 0x26, 0x01])
    func circle(_ tag: Int) throws {
        // A typedef, pointer, const or array of itself, and a member of that type.
        let information = try assembled(
            reference(tag)
                + "\n.uleb128 3; .uleb128 0x13; .byte 1, 0x03, 0x08, 0, 0\n.uleb128 4; .uleb128 0x0d; .byte 0, 0x49, 0x13, 0, 0",
            "self: .uleb128 2; .long self - unit\n.uleb128 3; .asciz \"s\"\n.uleb128 4; .long self - unit\n.byte 0")
        let type = try #require(try information.definitions(.structure, "s").first)
        let member = try #require(try information.members(of: type.id).first)
        // A typedef that nothing names is written without what it stands for.
        if tag != 0x16 {
            let error = #expect(throws: DWARFError.self) { try information.spelling(of: member.type) }
            #expect(error?.code == .limitExceeded)
        }
        #expect(try information.sizeInBytes(of: try #require(member.type)) == nil)
    }

    @Test("Names that lead in a circle end")
    func namesInCircle() throws {
        // Functions that are the code of each other.
        let information = try assembled(
            ".uleb128 2; .uleb128 0x13; .byte 0, 0x47, 0x13, 0, 0",
            "a: .uleb128 2; .long b - unit\nb: .uleb128 2; .long a - unit")
        let id = try #require(information.namedTypes.first)
        let error = #expect(throws: DWARFError.self) { try information.name(of: id) }
        #expect(error?.code == .limitExceeded)
    }

    @Test("Attributes without bytes do not make work without end")
    func abbreviationBomb() throws {
        // An entry of one byte with 2000 flags, 20,000 times: 40 million attributes in 20 kB.
        let flags = ".rept 2000\n.byte 0x3f, 0x19\n.endr\n"
        let error = try #require(throws: DWARFError.self) {
            try assembled(".uleb128 2; .uleb128 0x34; .byte 0\n\(flags).byte 0, 0", ".fill 20000, 1, 2")
        }
        #expect(error.code == .limitExceeded)
    }

    @Test("Units that share a large table of abbreviations do not make work without end")
    func unitBomb() throws {
        // Each unit's table begins one abbreviation later than that of the unit before it.
        let table = ".rept 4000\n.uleb128 1; .uleb128 0x34; .byte 0, 0, 0\n.endr\n.byte 0\n"
        let error = try #require(throws: DWARFError.self) {
            try information(
                """
                .section .debug_abbrev,"",@progbits
                \(table)
                .section .debug_info,"",@progbits
                .set place, 0
                .rept 4000
                .long 8; .short 5; .byte 1, 8; .long place
                .set place, place + 5
                .endr
                """, "example.s", flags: ["-g0"])
        }
        #expect(error.code == .limitExceeded)
    }

    @Test("Entries that are nested too deep are refused")
    func deepNesting() throws {
        let block = ".uleb128 2; .uleb128 0x0b; .byte 1, 0, 0"
        #expect(try assembled(block, ".fill 900, 1, 2\n.fill 900, 1, 0").describesTypes)
        let error = try #require(throws: DWARFError.self) {
            try assembled(block, ".fill 100000, 1, 2\n.fill 100000, 1, 0")
        }
        #expect(error.code == .limitExceeded)
    }
}
