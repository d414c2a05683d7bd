//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import LivePatch
import Testing

/// What the tools of everybody else make of a patch file.
@Suite struct BinutilsTests {
    @Test func readelfShowsTheExample() throws {
        try withFile(try write(Example.patch)) { path in
            let (output, errors, status) = try run("/usr/bin/readelf", ["-a", "-W", path])
            #expect(status == 0)
            #expect(errors.isEmpty, "\(errors)")
            // readelf says "Unknown note type" of every owner that it does not know; nothing else is a warning.
            #expect(!output.contains("arning"))
            for text in [
                "REL (Relocatable file)", ".moult.target", ".moult.entries", ".note.moult", ".moult.digest",
                "answer.gate", "answer.old", "check", "forty_two", "R_X86_64_PC32", "'.rela.text' at offset",
                "'.rela.eh_frame' at offset",
            ] { #expect(output.contains(text), "\(text)") }
            #expect(output.split(separator: "\n").contains { $0.contains("FUNC") && $0.hasSuffix(" answer") })

            let notes = try run("/usr/bin/readelf", ["-n", "-W", path])
            #expect(notes.errors.isEmpty)
            // "bookworm" in hexadecimal.
            #expect(notes.output.contains("62 6f 6f 6b 77 6f 72 6d"))
            #expect(notes.output.components(separatedBy: "moult  ").count > 13)
        }
    }

    @Test func objdumpDisassemblesTheExample() throws {
        try withFile(try write(Example.patch)) { path in
            let (output, errors, status) = try run("/usr/bin/objdump", ["-dr", path])
            #expect(status == 0)
            #expect(errors.isEmpty, "\(errors)")
            for text in [
                "<answer>:", "<answer.gate>:", "endbr64", "R_X86_64_PC32\tcheck-0x4", "R_X86_64_PC32\tforty_two-0x4",
                "jrcxz", "R_X86_64_PC32\tanswer.old+0x5", "R_X86_64_PC32\t.Lmoult.state-0x4",
            ] { #expect(output.contains(text), "\(text)") }
            let frames = try run("/usr/bin/readelf", ["--debug-dump=frames", path])
            #expect(frames.errors.isEmpty, "\(frames.errors)")
            #expect(frames.output.contains("pc=0000000000000000..0000000000000018"))
            #expect(frames.output.contains("pc=0000000000000020..0000000000000042"))
        }
    }

    @Test(arguments: 1000..<1010 as Range<UInt64>)
    func readelfAcceptsRandomPatches(seed: UInt64) throws {
        var generator = PatchGenerator(seed: seed)
        try withFile(try write(generator.patch())) { path in
            for (tool, arguments) in [("readelf", ["-a", "-W", path]), ("objdump", ["-dr", path])] {
                let (output, errors, status) = try run("/usr/bin/" + tool, arguments)
                #expect(status == 0)
                #expect(errors.isEmpty, "\(errors)")
                #expect(output.contains("function0"))
            }
        }
    }
}
