//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Testing
import Unwinding

/// Rules taken out of objects and written into an image, read back by readelf.
@Suite("Writing unwind rules")
struct WriterTests {
    static let source = #"""
        extern int other(int, char *);
        int small(int a) { return a + 1; }
        int large(int a, int b, int c) {
            char space[5000];
            int sum = 0;
            for (int i = 0; i < a; i++) sum += other(i + b, space) * other(c, space + i);
            return sum;
        }
        int variable(int a) {
            char space[a];
            if (other(a, space) > 3) return 7;
            return other(1, space) + large(a, a, a);
        }
        __attribute__((force_align_arg_pointer)) int aligned(int a) {
            char space[64] __attribute__((aligned(64)));
            return other(a, space);
        }
        """#

    private func compile(_ source: String, _ name: String, in directory: TemporaryDirectory) throws -> String {
        let file = try directory.write(source, as: name)
        let object = directory.path + "/" + name + ".o"
        try run(
            name.hasSuffix(".c") ? "/usr/bin/gcc" : "/usr/bin/g++",
            ["-O2", "-fPIC", "-ffunction-sections", "-fcf-protection=none", "-c", "-o", object, file], in: directory)
        return object
    }

    /// An object that has nothing but the section, for readelf.
    private func readelf(_ section: [UInt8], in directory: TemporaryDirectory) throws -> [String: [String]] {
        let bytes = section.map { "\($0)" }.joined(separator: ",")
        let file = try directory.write(".section .eh_frame,\"a\",@unwind\n.byte \(bytes)\n", as: "section.s")
        try run("/usr/bin/as", ["-o", file + ".o", file], in: directory)
        return try rows(file + ".o", in: directory)
    }

    /// readelf's rows of each FDE by its first address; addresses in the rows count from it.
    private func rows(_ object: String, in directory: TemporaryDirectory) throws -> [String: [String]] {
        let output = try run("/usr/bin/readelf", ["-wF", object], in: directory, expecting: [0, 1])
        var rows: [String: [String]] = [:]
        var start = ""
        for line in String(decoding: output, as: UTF8.self).split(separator: "\n") {
            let fields = line.split(separator: " ").map(String.init)
            if fields.contains("terminator") || (fields.count > 3 && fields[3] == "CIE") { start = "" }
            if fields.count > 3, fields[3] == "FDE" {
                let range = try #require(fields.last?.dropFirst(3))
                start = String(range.prefix(16))
                let size = (UInt64(range.suffix(16), radix: 16) ?? 0) &- (UInt64(start, radix: 16) ?? 0)
                rows[start] = ["\(size)"]
            } else if !start.isEmpty, let address = fields.first.flatMap({ UInt64($0, radix: 16) }) {
                let distance = address &- (UInt64(start, radix: 16) ?? 0)
                rows[start]?.append(([String(distance)] + fields.dropFirst()).joined(separator: " "))
            } else if !start.isEmpty {
                rows[start]?.append(fields.joined(separator: " "))
            }
        }
        return rows
    }

    private func key(_ function: UInt32, _ section: UInt32) -> String {
        let digits = String(UInt64(function) &- UInt64(section), radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    @Test("An object's rules keep their meaning in an image")
    func objects() throws {
        let directory = try TemporaryDirectory()
        let object = try compile(Self.source, "functions.c", in: directory)
        let section = try #require(try TestObject(path: object).sections[".eh_frame"])
        let frames = try ExtractedFrame.all(in: section.bytes)
        #expect(frames.count == 4)
        #expect(frames.allSatisfy { !$0.hasLSDA })
        var writer = EHFrameWriter()
        var original: [[String]] = []
        for (index, frame) in frames.enumerated() {
            // The object as the compiler left it, with one start field after the other set to tell which is which.
            var alone = section.bytes
            alone[frame.startFieldOffset + 3] = 0x20
            let first = UInt64(0x2000_0000 + frame.startFieldOffset)
            let all = try readelf(alone, in: directory)
            let digits = String(first, radix: 16)
            original.append(try #require(all[String(repeating: "0", count: 16 - digits.count) + digits]))
            try writer.add(frame, at: UInt32(index * 0x200))
        }
        let written = try writer.section(at: 0x1000)
        #expect(written.startFields.map { $0.function } == [0, 0x200, 0x400, 0x600])
        #expect(written.bytes.suffix(4) == [0, 0, 0, 0])
        let rows = try readelf(written.bytes, in: directory)
        #expect(rows.count == 4)
        for (index, expected) in original.enumerated() {
            #expect(rows[key(UInt32(index * 0x200), 0x1000)] == expected)
            #expect(expected.count > 1 || expected == ["4"])
        }
        // Our own reader finds them at the image's addresses.
        let table = try FrameTable(section: written.bytes, address: 0x7000_1000)
        let large = try #require(try table.description(covering: 0x7000_0201))
        #expect(large.start == 0x7000_0200)
        #expect(large.size == frames[1].size)
        #expect(try table.description(covering: 0x7000_0200 + large.size) == nil)
        #expect(throws: UnwindError.self) { try writer.section(at: 0x1004) }
    }

    @Test("A gate's rules follow its own stack and then the old function's")
    func gate() throws {
        let directory = try TemporaryDirectory()
        let assembly = """
            .cfi_startproc
            push %r15
            .cfi_def_cfa_offset 16
            .cfi_offset r15, -16
            push %r14
            .cfi_def_cfa_offset 24
            .cfi_offset r14, -24
            sub $8, %rsp
            .cfi_def_cfa_offset 32
            nop
            pop %r14
            .cfi_def_cfa_offset 24
            ret
            .cfi_endproc
            """
        let file = try directory.write(assembly + "\n", as: "old.s")
        try run("/usr/bin/as", ["-o", file + ".o", file], in: directory)
        let old = try #require(try TestObject(path: file + ".o").sections[".eh_frame"])
        let frame = try #require(try ExtractedFrame.all(in: old.bytes).first)
        let steps: [EHFrameWriter.StackStep] = [
            .init(offset: 0, canonicalFrameAddressOffset: 8), .init(offset: 1, canonicalFrameAddressOffset: 16),
            .init(offset: 14, canonicalFrameAddressOffset: 8), .init(offset: 19, canonicalFrameAddressOffset: 16),
            .init(offset: 20, canonicalFrameAddressOffset: 8),
        ]
        let places: [EHFrameWriter.Place] = [
            .init(original: 0, copy: 20), .init(original: 2, copy: 22), .init(original: 4, copy: 24),
            .init(original: 8, copy: 28),
        ]
        var writer = EHFrameWriter()
        try writer.addGate(at: 0x40, size: 33, steps: steps, places: places, original: frame)
        let rows = try readelf(writer.section(at: 0x100).bytes, in: directory)
        #expect(
            rows[key(0x40, 0x100)] == [
                "33", "LOC CFA r14 r15 ra", "0 rsp+8 u u c-8", "1 rsp+16 u u c-8", "14 rsp+8 u u c-8",
                "19 rsp+16 u u c-8", "20 rsp+8 u u c-8", "22 rsp+16 u c-16 c-8", "24 rsp+24 c-24 c-16 c-8",
                "28 rsp+32 c-24 c-16 c-8",
            ])
        var bare = EHFrameWriter()
        try bare.addGate(at: 0, size: 33, steps: steps, places: places, original: nil)
        #expect(try readelf(bare.section(at: 0x100).bytes, in: directory)[key(0, 0x100)]?.first == "20")
        // A place in the middle of an instruction.
        let wrong = [places[0], EHFrameWriter.Place(original: 3, copy: 23), places[3]]
        #expect(throws: UnwindError.self) {
            try writer.addGate(at: 0x40, size: 33, steps: steps, places: wrong, original: frame)
        }
    }

    @Test("Language-specific data are told and refused")
    func languageData() throws {
        let directory = try TemporaryDirectory()
        let object = try compile(
            "void other(); struct Guard { ~Guard() { other(); } }; void f() { Guard guard; other(); }", "guard.cc",
            in: directory)
        let section = try #require(try TestObject(path: object).sections[".eh_frame"])
        let frames = try ExtractedFrame.all(in: section.bytes)
        let frame = try #require(frames.first { $0.hasLSDA })
        #expect(frame.languageDataFieldOffset != nil)
        #expect(frame.hasPersonality)
        var writer = EHFrameWriter()
        #expect(throws: UnwindError.self) { try writer.add(frame, at: 0) }
    }

    @Test("A library's rules are the same after extraction", arguments: ["/bin/ls", "/usr/bin/openssl"])
    func linked(path: String) throws {
        let section = try #require(try TestObject(path: path).sections[".eh_frame"])
        let table = try FrameTable(section: section.bytes, address: section.address)
        var writer = EHFrameWriter()
        var expected: [UInt64: FrameDescription] = [:]
        for index in 0..<table.count {
            let description = try table.description(index: index)
            guard description.languageDataFieldOffset == nil, !description.common.hasPersonality else { continue }
            try writer.add(try table.extracted(description), at: UInt32(description.start))
            expected[description.start] = description
        }
        let copy = try FrameTable(section: writer.section(at: 0x4000_0000).bytes, address: 0x4000_0000)
        #expect(copy.count == expected.count)
        #expect(copy.count > 100)
        for index in 0..<copy.count {
            let written = try copy.description(index: index)
            let original = try #require(expected[written.start])
            #expect(written.size == original.size)
            for distance in stride(from: 0, to: written.size, by: 5) {
                let old = try table.rules(at: written.start + distance, of: original)
                let new = try copy.rules(at: written.start + distance, of: written)
                #expect(same(old, new))
            }
        }
    }

    @Test("DW_CFA_restore goes back to what the CIE says, remembered states nest")
    func restore() throws {
        let directory = try TemporaryDirectory()
        // CIE: CFA = rsp + 8, rip at CFA - 8, rbx at CFA - 16.
        let common: [UInt8] = [
            20, 0, 0, 0, 0, 0, 0, 0, 1, 0x7A, 0x52, 0, 1, 0x78, 16, 1, 0x1B, 0x0C, 7, 8, 0x90, 1, 0x83, 2,
        ]
        let contents: [UInt8] =
            [28, 0, 0, 0] + [0, 0x10, 0, 0, 0, 1, 0, 0, 0]
            + [0x08, 3, 0x41, 0xC3, 0x41, 0x0A, 0x83, 3, 0x0A, 0x83, 4, 0x41, 0x0B, 0x41, 0x06, 3, 0x0B]
            + [0x41, 0x06, 3, 0x41, 0x2F, 12, 2, 0x41, 0x15, 12, 1]
        let section = common + [UInt8(contents.count), 0, 0, 0] + contents + [0, 0, 0, 0]
        let table = try FrameTable(section: section, address: 0)
        let function = try table.description(index: 0)
        var found: [String] = []
        for distance in 0..<8 as Range<UInt64> {
            let rules = try table.rules(at: function.start + distance, of: function)
            found.append("\(rules[3]) \(rules[12])")
        }
        #expect(
            found == [
                "sameValue unspecified", "offset(-16) unspecified", "offset(-32) unspecified",
                "offset(-24) unspecified", "offset(-16) unspecified", "offset(-16) unspecified",
                "offset(-16) offset(16)", "offset(-16) valueOffset(-8)",
            ])
        let rows = try #require(try readelf(section, in: directory).values.first)
        #expect(rows.count == 10)
    }

    /// Equal but for where expressions lie.
    private func same(_ old: FrameRules, _ new: FrameRules) -> Bool {
        switch (old.canonicalFrameAddress, new.canonicalFrameAddress) {
        case (.expression(let left), .expression(let right)): if left.count != right.count { return false }
        case (let left, let right): if left != right { return false }
        }
        return (0..<17).allSatisfy { old[$0] == new[$0] }
    }
}
