//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import Glibc
import PatchBuilding

/// What objdump says of a file, read as it comes: its output is too large to be kept.
struct Disassembly {
    /// Addresses of all instructions, ascending.
    var starts: [UInt64] = []
    /// Those that objdump calls bad.
    var bad: Set<UInt64> = []
    /// The instructions at the addresses that were asked for, without what depends on their own place.
    var texts: [UInt64: String] = [:]
    /// Where direct jumps are and where they lead.
    var jumps: [(from: UInt64, to: UInt64)] = []

    struct Failure: Error {
        var text: String
    }

    /// All code of a shipped file. objdump goes through a section in one sweep and would be out of step behind
    /// data; at symbols it starts anew. A stripped file has none, so a copy gets one at each end of each function.
    static func shipped(_ file: ShippedFile, texts: [UInt64]) throws -> Disassembly {
        var addresses: Set<UInt64> = []
        for function in file.survey.functions {
            addresses.insert(function.address)
            addresses.insert(function.address + UInt64(function.bytes.count))
        }
        var options = ""
        for address in addresses.sorted() {
            guard let section = file.codeSections.first(where: { $0.addresses.contains(Int(address)) }) else {
                continue
            }
            let offset = address - UInt64(section.addresses.lowerBound)
            options += "--add-symbol at\(address)=\(section.name):\(offset),function\n"
        }
        let list = file.path + ".symbols"
        let copy = file.path + ".named"
        try Data(options.utf8).write(to: URL(filePath: list))
        try run("objcopy '@\(list)' '\(file.path)' '\(copy)'")
        defer { for path in [list, copy] { unlink(path) } }
        var result = Disassembly()
        try result.read("objdump -d -z -w --no-show-raw-insn '\(copy)'", texts: texts)
        return result
    }

    /// A piece of code that lies at an address; all of its texts are kept, in order.
    static func code(_ bytes: [UInt8], at address: UInt64) throws -> [(address: UInt64, text: String)] {
        let path = try ShippedFile.directory() + "/code-\(address).bin"
        try Data(bytes).write(to: URL(filePath: path))
        defer { unlink(path) }
        var result = Disassembly()
        let command = "objdump -D -z -w --no-show-raw-insn -b binary -m i386:x86-64"
        try result.read("\(command) --adjust-vma=\(address) '\(path)'", texts: nil)
        return result.starts.map { ($0, result.texts[$0] ?? "") }
    }

    private static func run(_ command: String) throws {
        let status = system(command)
        guard status == 0 else { throw Failure(text: "\(command) ended with \(status)") }
    }

    /// - Parameter wanted: the addresses, ascending, whose texts are kept; nil for all.
    private mutating func read(_ command: String, texts wanted: [UInt64]?) throws {
        guard let output = popen("LC_ALL=C " + command, "r") else { throw Failure(text: "cannot start \(command)") }
        var line: UnsafeMutablePointer<CChar>?
        var capacity = 0
        defer { free(line) }
        var next = 0
        while true {
            let count = getline(&line, &capacity, output)
            guard count > 0, let line else { break }
            // An instruction: spaces, its address, a colon, a tab, its text.
            var end: UnsafeMutablePointer<CChar>?
            let address = UInt64(strtoul(line, &end, 16))
            guard let end, end > line, end[0] == 0x3A, end[1] == 0x09 else { continue }
            starts.append(address)
            let text = end + 2
            if text[0] == 0x28 || strstr(text, "(bad)") != nil { bad.insert(address) }
            if let destination = Self.jump(text) { jumps.append((address, destination)) }
            if let wanted {
                while next < wanted.count, wanted[next] < address { next += 1 }
                guard next < wanted.count, wanted[next] == address else { continue }
            }
            texts[address] = Self.normalized(String(cString: text))
        }
        let status = pclose(output)
        guard status == 0, !starts.isEmpty else { throw Failure(text: "\(command) ended with \(status)") }
    }

    /// The destination of `jmp`, `jcc` and their like: the mnemonic, then a number.
    private static func jump(_ text: UnsafeMutablePointer<CChar>) -> UInt64? {
        var mnemonic = text
        // Prefixes are words before it.
        for prefix in ["bnd ", "notrack ", "data16 "] where strncmp(mnemonic, prefix, prefix.utf8.count) == 0 {
            mnemonic += prefix.utf8.count
        }
        let isJump = mnemonic[0] == 0x6A || strncmp(mnemonic, "loop", 4) == 0 || strncmp(mnemonic, "xbegin", 6) == 0
        guard isJump, let space = strchr(mnemonic, 0x20) else { return nil }
        var number = space
        while number[0] == 0x20 { number += 1 }
        var end: UnsafeMutablePointer<CChar>?
        let destination = UInt64(strtoul(number, &end, 16))
        guard let end, end > number, end[0] == 0x20 || end[0] == 0x0A else { return nil }
        return destination
    }

    /// Without names of symbols, and with the address in place of a displacement from `rip`.
    static func normalized(_ line: String) -> String {
        var text = line[...]
        while let last = text.last, last == "\n" || last == " " { text.removeLast() }
        if let name = text.firstRange(of: " <") { text = text[..<name.lowerBound] }
        guard text.contains("# "), let end = text.firstRange(of: "(%rip)") else { return String(text) }
        let start = text[..<end.lowerBound].lastIndex { "0123456789abcdefx-".contains($0) == false }
        guard let start else { return String(text) }
        return String(text[...start] + text[end.lowerBound...])
    }
}
