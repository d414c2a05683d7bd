//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Testing

@testable import ProcessInspection

/// Text and bytes that a process or the kernel chose: understood, or refused, never a trap.
@Suite struct ParserTests {
    private func maps(_ text: String) throws -> [Mapping] { try MapsParser.mappings(Array(text.utf8)) }

    @Test func linesOfMaps() throws {
        let mappings = try maps(
            """
            00400000-00452000 r-xp 00001000 fe:01 173521                             /usr/bin/a b  c
            7f0000000000-7f0000021000 rw-p 00000000 00:00 0\u{20}
            7f0000021000-7f0000022000 r--s 00000000 00:05 77 /tmp/line\\012break (deleted)
            7ffff7fc1000-7ffff7fc3000 r-xp 00000000 00:00 0                          [vdso]
            ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]

            """)
        try #require(mappings.count == 5)
        #expect(mappings[0].range == 0x40_0000..<0x45_2000)
        #expect(mappings[0].isReadable && mappings[0].isExecutable && !mappings[0].isWritable && !mappings[0].isShared)
        #expect(mappings[0].fileOffset == 0x1000)
        #expect(mappings[0].identity == FileIdentity(device: 0xfe01, inode: 173521))
        #expect(mappings[0].displayName == "/usr/bin/a b  c" && !mappings[0].isDeleted)
        #expect(mappings[1].isAnonymous && mappings[1].isWritable)
        #expect(mappings[2].name == Array("/tmp/line\nbreak".utf8) && mappings[2].isDeleted && mappings[2].isShared)
        #expect(mappings[2].displayName == "/tmp/line?break")
        #expect(mappings[3].displayName == "[vdso]" && mappings[3].identity == nil && !mappings[3].isAnonymous)
        #expect(mappings[4].range.upperBound == 0xffff_ffff_ff60_1000)
    }

    @Test(arguments: [
        "", "\n", "x", "400000-452000", "452000-400000 r-xp 0 0:0 0", "400000-452000 r-x 0 0:0 0",
        "400000-452000 r-xp 0 00 0", "400000-452000 r-xp 0 0:0 99999999999999999999", "-452000 r-xp 0 0:0 0",
        "10000000000000000-10000000000000001 r-xp 0 0:0 0",
    ]) func brokenLines(line: String) throws {
        if line.isEmpty {
            #expect(try maps(line).isEmpty)
        } else {
            #expect(throws: InspectionError.self) { try maps(line) }
        }
    }

    @Test func namesInStat() throws {
        let fields = "S 17 3 3 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 9 0 123456 1 2"
        for name in ["a", "a b", ") R 1 1 1 (", "(((", ")))", "x\n1 (y) S"] {
            let stat = try #require(StatParser.stat(Array("42 (\(name)) \(fields)\n".utf8)))
            #expect(stat.name == Array(name.utf8))
            #expect(stat.state == 0x53 && stat.parent == 17 && stat.processGroup == 3)
            #expect(stat.threads == 9 && stat.startTime == 123456 && stat.flags == 0x400000)
        }
        for broken in ["", "42", "42 (a", "42 (a)", "42 (a) ", "42 (a) S 1", ") ("] {
            #expect(StatParser.stat(Array(broken.utf8)) == nil)
        }
    }

    @Test func linesOfStatus() {
        let status = Array("Name:\tTracerPid:\nTracerPid:\t17\nUid:\t1\t2\t3\t4\nEmpty:\n".utf8)
        #expect(StatParser.number("TracerPid", of: status) == 17)
        #expect(StatParser.field("Uid", of: status)?.count == 4)
        #expect(StatParser.number("Empty", of: status) == nil)
        #expect(StatParser.number("Tracer", of: status) == nil)
    }

    @Test func notes() {
        func note(_ name: String, _ type: UInt8, _ description: [UInt8], alignment: Int = 4) -> [UInt8] {
            var bytes: [UInt8] = [UInt8(name.utf8.count), 0, 0, 0, UInt8(description.count), 0, 0, 0, type, 0, 0, 0]
            bytes += Array(name.utf8)
            while bytes.count % alignment != 0 { bytes.append(0) }
            bytes += description
            while bytes.count % alignment != 0 { bytes.append(0) }
            return bytes
        }
        let wanted = Array("GNU\0".utf8)
        let notes = note("GNU\0", 1, [1, 2, 3]) + note("Xen\0", 3, [7]) + note("GNU\0", 3, [4, 5, 6, 7, 8])
        #expect(NoteReader.description(of: wanted, type: 3, in: notes, alignment: 4) == [4, 5, 6, 7, 8])
        let wide = note("GNU\0", 5, [1, 2, 3, 4], alignment: 8) + note("GNU\0", 3, [9], alignment: 8)
        #expect(NoteReader.description(of: wanted, type: 3, in: wide, alignment: 8) == [9])
        // Cut anywhere, and every byte changed: an answer or none, no trap.
        for end in 0..<notes.count {
            #expect(
                NoteReader.description(of: wanted, type: 3, in: Array(notes[..<end]), alignment: 4) == nil
                    || end > notes.count - 4)
        }
        for index in notes.indices {
            for value: UInt8 in [0, 1, 0x7f, 0xff] {
                var changed = notes
                changed[index] = value
                _ = NoteReader.description(of: wanted, type: 3, in: changed, alignment: 4)
                _ = NoteReader.description(of: wanted, type: 3, in: changed, alignment: 8)
            }
        }
    }

    @Test func headers() {
        var header = [UInt8](repeating: 0, count: 64)
        header.replaceSubrange(0..<7, with: [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
        header[16] = 3
        header[18] = 62
        header[32] = 64
        header[54] = 56
        header[56] = 9
        #expect(MemoryELFHeader(header)?.programHeaderCount == 9)
        #expect(MemoryELFHeader(header)?.machine == 62)
        for index in [0, 1, 2, 3, 4, 5, 6, 16, 54, 57] {
            var changed = header
            changed[index] = 0x40
            #expect(MemoryELFHeader(changed) == nil)
        }
        #expect(MemoryELFHeader(Array(header.dropLast())) == nil)
        let table = [UInt8](repeating: 0xff, count: 56 * 2 + 7)
        let headers = MemoryELFHeader.programHeaders(table)
        #expect(headers.count == 2 && headers.allSatisfy { $0.range == nil })
    }

    @Test func identifiers() {
        let instance = ProcessInstance(
            pid: 4711, startTime: 0x1234, executable: FileIdentity(device: 0xfe01, inode: 0xabcdef))
        #expect(instance.identifier == "4711-1234-fe01-abcdef")
        #expect(ProcessInstance(identifier: instance.identifier) == instance)
        for wrong in [
            "", "4711", "4711-1234-fe01", "4711-1234-fe01-ABCDEF", "0-1-1-1", "-1-1-1-1", "1-1-1-1-1", "1-01-1-1",
        ] {
            #expect(ProcessInstance(identifier: wrong) == nil)
        }
    }

    @Test func textForPeople() {
        #expect(PrintableBytes.text(of: Array("a\u{1b}[31m\u{202e}b\n".utf8) + [0xff]) == "a?[31m?b??")
        #expect(PrintableBytes.text(of: Array("über/Straße".utf8)) == "über/Straße")
    }
}
