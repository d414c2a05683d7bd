//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF
import Foundation
import Testing

@Suite struct ObjectWriterTests {
    /// `int answer(void) { return helper() + seven; }` by hand.
    private func object() throws -> [UInt8] {
        var object = ObjectWriter(machine: .x86_64)
        let code: [UInt8] =
            [0x48, 0x83, 0xec, 0x08, 0xe8, 0, 0, 0, 0, 0x03, 0x05, 0, 0, 0, 0, 0x48, 0x83, 0xc4, 0x08, 0xc3]
        let text = object.addSection(
            name: ".text", type: .programBits, flags: [.allocated, .executable], alignment: 16, contents: code)
        let constants = object.addSection(
            name: ".rodata", type: .programBits, flags: .allocated, alignment: 4, contents: [7, 0, 0, 0])
        _ = object.addNoBits(name: ".bss", flags: [.allocated, .write], alignment: 32, size: 100)
        _ = object.addSection(
            name: ".note.GNU-stack", type: .programBits, flags: [], alignment: 1, contents: [])
        object.setTrailingSection(name: ".last", type: .programBits, alignment: 1, contents: [1, 2, 3])
        let seven = try object.addSymbol(
            name: "seven", binding: .local, type: .object, section: constants, value: 0, size: 4)
        _ = try object.addSymbol(
            name: "answer", binding: .global, type: .function, section: text, value: 0, size: UInt64(code.count))
        let helper = try object.addSymbol(
            name: "helper", binding: .global, type: .none, section: Int(SpecialIndex.undefined), value: 0, size: 0)
        try object.addRelocation(ELFRelocation(offset: 5, type: .plt32, symbol: helper, addend: -4), toSection: text)
        try object.addRelocation(ELFRelocation(offset: 11, type: .pc32, symbol: seven, addend: -4), toSection: text)
        return try object.bytes()
    }

    @Test func isDeterministic() throws {
        #expect(try object() == object())
    }

    /// The linker takes it and the program runs.
    @Test func linksAndRuns() throws {
        try withDirectory { directory in
            let path = directory + "/answer.o"
            try Data(try object()).write(to: URL(fileURLWithPath: path))
            let main = directory + "/main.c"
            try Data("int answer(void); int helper(void) { return 35; } int main(void) { return answer(); }".utf8)
                .write(to: URL(fileURLWithPath: main))
            let linked = try run("/usr/bin/gcc", [main, path, "-o", directory + "/main"])
            #expect(linked.status == 0, "\(linked.errors)")
            #expect(linked.errors.isEmpty)
            #expect(try run(directory + "/main", []).status == 42)
        }
    }

    @Test func readelfHasNothingToSay() throws {
        try withDirectory { directory in
            let path = directory + "/answer.o"
            try Data(try object()).write(to: URL(fileURLWithPath: path))
            let (output, errors, status) = try run("/usr/bin/readelf", ["-a", "-W", path])
            #expect(status == 0)
            #expect(errors.isEmpty, "\(errors)")
            #expect(!output.lowercased().contains("warning"))
            #expect(output.contains("R_X86_64_PLT32         0000000000000000 helper - 4"))
        }
    }

    @Test func isReadAsItWasWritten() throws {
        let bytes = try object()
        try ELFFile(bytes).withImage { image in
            #expect(image.header.type == .relocatable)
            let names = try image.sections.copied().map { try image.name(of: $0) }
            #expect(
                names == [
                    "", ".text", ".rodata", ".bss", ".note.GNU-stack", ".rela.text", ".symtab", ".strtab", ".shstrtab",
                    ".last",
                ])
            #expect(bytes.suffix(3) == [1, 2, 3])
            guard let symbols = try image.symbols else { throw Complaint(text: "no symbols") }
            #expect(symbols.count == 4)
            let section = try #require(try image.section(type: .symbolTable))
            #expect(section.info == 2)
            let relocations = try image.relocationSections()
            #expect(relocations.map(\.appliesTo) == [1])
            let bss = try #require(try image.section(named: ".bss"))
            #expect(bss.size == 100)
        }
    }

    @Test func refusesWhatNoFileCanHold() throws {
        var object = ObjectWriter(machine: .x86_64)
        _ = try object.addSymbol(name: "a", binding: .global, type: .none, section: 0, value: 0, size: 0)
        #expect(throws: ELFError.self) {
            try object.addSymbol(name: "b", binding: .local, type: .none, section: 0, value: 0, size: 0)
        }
        #expect(throws: ELFError.self) {
            try object.addSymbol(name: "c", binding: .global, type: .none, section: 70_000, value: 0, size: 0)
        }
        #expect(throws: ELFError.self) {
            try object.addRelocation(ELFRelocation(offset: 0, type: .pc32, symbol: 0, addend: 0), toSection: 1)
        }
    }

    /// More sections than 16 bits count: numbers move to section header 0 and to `.symtab_shndx`.
    @Test func manySectionsAreRead() throws {
        try withDirectory { directory in
            let source = directory + "/many.s"
            let text = (0..<66_000).map { ".section s\($0),\"a\"\nl\($0): .byte 1\n" }.joined()
            try Data(text.utf8).write(to: URL(fileURLWithPath: source))
            let path = directory + "/many.o"
            #expect(try run("/usr/bin/as", [source, "-o", path]).status == 0)
            let file = try ELFFile(try contents(path))
            #expect(file.header.sectionCount > 66_000)
            try file.withImage { image in
                guard let symbols = try image.symbols else { throw Complaint(text: "no symbols") }
                for index in [0, 1, 65_500, 65_999] {
                    let symbol = try #require(try symbols.first(named: "l\(index)"))
                    let section = try image.sections[try #require(try symbols.section(of: symbol))]
                    #expect(try image.name(of: section) == "s\(index)")
                }
            }
        }
    }
}
