//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF
import Foundation
import Testing

/// Real files, compared with what `readelf -W` prints of them.
@Suite struct ReadelfTests {
    static let files = [
        "/usr/lib/x86_64-linux-gnu/libcrypto.so.3", "/usr/lib/x86_64-linux-gnu/libc.so.6",
        "/usr/lib/x86_64-linux-gnu/libstdc++.so.6", "/bin/ls", "gcc -c", "gcc -shared",
    ]

    /// Calls `body` with the path and the contents of a file, which may have to be compiled first.
    private func with(_ file: String, _ body: (String, ELFFile) throws -> Void) throws {
        try withDirectory { directory in
            let path =
                switch file {
                case "gcc -c":
                    try compile(in: directory, ["-c", "-g", "-ffunction-sections", "-fPIC"], to: "example.o")
                case "gcc -shared": try compile(in: directory, ["-shared", "-fPIC", "-g"], to: "libexample.so")
                default: file
                }
            try body(path, try ELFFile(try contents(path)))
        }
    }

    @Test(arguments: files) func header(file: String) throws {
        try with(file) { path, file in
            let output = try run("/usr/bin/readelf", ["-W", "-h", path]).output
            var values: [String: String] = [:]
            for line in output.split(separator: "\n") {
                let parts = line.split(separator: ":", maxSplits: 1)
                guard parts.count == 2 else { continue }
                let key = parts[0].trimmingCharacters(in: .whitespaces)
                values[key] = String(parts[1].split(separator: " ").first ?? "")
            }
            let types: [ObjectType: String] = [.relocatable: "REL", .shared: "DYN", .executable: "EXEC"]
            #expect(values["Type"] == types[file.header.type])
            #expect(values["Entry point address"] == "0x" + hex(file.header.entryPoint, digits: 1))
            #expect(values["Start of program headers"] == "\(file.header.segmentTableOffset)")
            #expect(values["Start of section headers"] == "\(file.header.sectionTableOffset)")
            #expect(values["Number of program headers"] == "\(file.header.segmentCount)")
            #expect(values["Number of section headers"] == "\(file.header.sectionCount)")
            #expect(values["Section header string table index"] == "\(file.header.sectionNamesIndex)")
            #expect(file.header.machine == .x86_64)
        }
    }

    @Test(arguments: files) func sections(file: String) throws {
        try with(file) { path, file in
            // "[", "1]", name ... or "[10]", name ...
            let printed = try readelf("-S", path).compactMap { words -> [String]? in
                guard let close = words.prefix(2).firstIndex(where: { $0.hasSuffix("]") && $0 != "[Nr]" }),
                    words[0].hasPrefix("[")
                else { return nil }
                return Array(words[(close + 1)...])
            }.filter { $0.first != "Name" }
            let read = try file.withImage { try Rendering.sections($0) }
            #expect(printed.count == file.header.sectionCount)
            #expect(read == printed)
        }
    }

    @Test(arguments: files) func segments(file: String) throws {
        try with(file) { path, file in
            let printed = try readelf("-l", path).filter { $0.count >= 8 && $0[1].hasPrefix("0x") && $0[0] != "Entry" }
            let read = try file.withImage { try Rendering.segments($0) }
            #expect(printed.count == file.header.segmentCount)
            #expect(read == printed)
        }
    }

    @Test(arguments: files) func symbols(file: String) throws {
        try with(file) { path, file in
            var printed: [String: [[String]]] = [:]
            var table = ""
            for words in try readelf("-s", path) {
                if words.first == "Symbol" { table = words[2] }
                if words.count >= 7, words[0].hasSuffix(":"), Int(words[0].dropLast()) != nil {
                    printed[table, default: []].append(words)
                }
            }
            try file.withImage { image in
                let versions = try Rendering.versions(image)
                if let dynamic = try image.dynamicSymbols {
                    let lines = try #require(printed["'.dynsym'"])
                    let read = try Rendering.symbols(dynamic, image, versions: versions)
                    #expect(read.count == lines.count)
                    let firstDifference = zip(read, lines).first { $0 != $1 }
                    #expect(firstDifference == nil)
                    #expect(lines.count > 5)
                } else {
                    #expect(printed["'.dynsym'"] == nil)
                }
                if let full = try image.symbols {
                    #expect(try Rendering.symbols(full, image, versions: []) == printed["'.symtab'"])
                } else {
                    #expect(printed["'.symtab'"] == nil)
                }
            }
        }
    }

    @Test(arguments: files) func relocations(file: String) throws {
        try with(file) { path, file in
            let printed = try readelf("-r", path).compactMap { words -> [String]? in
                guard words.count >= 4, words[0].count == 16, words[2].hasPrefix("R_X86_64_") else { return nil }
                var words = words
                // "name + 8" and "name - 4" in one word; no name at all; "value()" of an IFUNC symbol.
                if words.count >= 6, ["+", "-"].contains(words[words.count - 2]) {
                    let name = String(words[4].split(separator: "@").first ?? "")
                    words =
                        Array(words[..<3]) + [
                            name, (words[words.count - 2] == "-" ? "-" : "") + words[words.count - 1],
                        ]
                } else {
                    words = Array(words[..<3]) + ["", words[3]]
                }
                return words
            }
            let read = try file.withImage { try Rendering.relocations($0) }
            #expect(read == printed)
            #expect(read.count > 5)
        }
    }

    @Test(arguments: files) func notes(file: String) throws {
        try with(file) { path, file in
            let lines = try readelf("-n", path)
            let printed = lines.filter { $0.count >= 3 && $0[1].hasPrefix("0x") && !$0[0].hasSuffix(":") }.map {
                Array($0[..<2])
            }
            var read: [[String]] = []
            var again: [String] = []
            try file.withImage { image in
                for section in try image.sections.copied() where section.type == .note {
                    for note in try image.notes(in: section).parsed() {
                        read.append([note.owner, "0x" + hex(note.descriptorSize, digits: 8)])
                        if note.type == GNUNoteType.buildID, note.owner == "GNU" {
                            again.append(
                                try image.notes(in: section).descriptor(of: note).copied().map { hex($0, digits: 2) }
                                    .joined())
                        }
                    }
                }
            }
            #expect(read == printed)
            let buildID = lines.first { $0.contains("NT_GNU_BUILD_ID") }?.last
            #expect(try file.withImage { try $0.buildID() }?.map { hex($0, digits: 2) }.joined() == buildID)
            #expect(again == (buildID.map { [$0] } ?? []))
        }
    }

    @Test(arguments: files) func dynamicSection(file: String) throws {
        try with(file) { path, file in
            let lines = try readelf("-d", path)
            let needed = lines.filter { $0.count > 2 && $0[1] == "(NEEDED)" }.compactMap {
                $0.last?.dropFirst().dropLast()
            }
            let soname = lines.first { $0.count > 2 && $0[1] == "(SONAME)" }?.last?.dropFirst().dropLast()
            let count = lines.filter { $0.count > 1 && $0[0].hasPrefix("0x") && $0[1] != "(NULL)" }.count
            try file.withImage { image in
                guard let dynamic = try image.dynamic else {
                    #expect(count == 0)
                    return
                }
                #expect(dynamic.entries.count == count)
                #expect(try dynamic.needed() == needed.map(String.init))
                #expect(try dynamic.soname() == soname.map(String.init))
                #expect(try dynamic.hasTextRelocations() == false)
                // The way without sections leads to the same tables.
                guard let bySection = try image.dynamicSymbols else { throw Complaint(text: "no symbols") }
                #expect(try dynamic.symbols.symbols.copied() == bySection.symbols.copied())
                let plt = try image.section(named: ".rela.plt")
                let all = try image.section(named: ".rela.dyn")
                if let plt { #expect(try dynamic.pltRelocations.copied() == image.relocations(in: plt).copied()) }
                if let all { #expect(try dynamic.relocations.copied() == image.relocations(in: all).copied()) }
            }
        }
    }
}
