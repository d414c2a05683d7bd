//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Disassembles sections of a relocatable object with objdump(1): what people read is made by the tool that they
/// would use themselves, and not by the decoder that the patch was built with.
struct Disassembler: Sendable {
    /// A directory for the objects that objdump reads.
    let scratch: String

    /// The instructions of some sections, by section name.
    ///
    /// - Parameters:
    ///   - names: names of sections of code.
    ///   - object: the whole relocatable object.
    /// - Throws: `PreparationError` with `systemFailed` if objdump cannot be run.
    func instructions(
        ofSections names: Set<String>, in object: [UInt8]
    ) async throws(PreparationError) -> [String: [ListedInstruction]] {
        guard !names.isEmpty else { return [:] }
        let directory = try Files.makeTemporary(in: scratch, "disassembly")
        let result: [UInt8]
        do {
            try Files.write(object, to: directory + "/object.o")
            result = try await Command(
                "objdump",
                ["-d", "-r", "-w", "--no-show-raw-insn"] + names.sorted().flatMap { ["-j", $0] } + ["object.o"],
                in: directory
            ).succeed(or: .systemFailed, "disassembling an object")
        } catch {
            try? Files.remove(directory)
            throw error
        }
        try Files.remove(directory)
        return Disassembler.sections(String(decoding: result, as: UTF8.self))
    }

    /// Reads the listing of `objdump -d -r -w --no-show-raw-insn`; padding is left out.
    static func sections(_ listing: String) -> [String: [ListedInstruction]] {
        var result: [String: [ListedInstruction]] = [:]
        var section = ""
        let title = "Disassembly of section "
        for line in listing.split(separator: "\n") {
            if line.hasPrefix(title) {
                section = String(line.dropFirst(title.count).dropLast())
            } else if let instruction = instruction(line), !isPadding(instruction.text) {
                result[section, default: []].append(instruction)
            }
        }
        return result
    }

    /// Whether it only aligns what follows: that changes with every byte before it and means nothing.
    private static func isPadding(_ text: String) -> Bool {
        text == "xchg %ax,%ax" || text == "nop" || text.contains("nopw ") || text.contains("nopl ")
    }

    /// `  43:⇥call   48 <f+0x48>⇥44: R_X86_64_PLT32⇥strlen-0x4`.
    private static func instruction(_ line: Substring) -> ListedInstruction? {
        let parts = line.split(separator: "\t", omittingEmptySubsequences: false)
        guard parts.count >= 2, let colon = parts[0].lastIndex(of: ":"),
            let offset = Int(parts[0][..<colon].drop { $0 == " " }, radix: 16)
        else { return nil }
        let words = parts[1].split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        let text = squeezed(words[0])
        if parts.count >= 4, let field = Int(parts[2].prefix { $0 != ":" }, radix: 16) {
            let end = words.count > 1 ? Int(words[1].drop { $0 == " " }.prefix { $0 != " " }, radix: 16) : nil
            return relocated(text, offset: offset, symbol: parts[3], distance: (end ?? field + 4) - field)
        }
        // A jump inside the function, `ja 82 <f+0x82>`: the number is that of the line it leads to.
        if let start = text.firstIndex(of: "<") {
            let shown = text[..<start].split(separator: " ")
            return ListedInstruction(
                offset: offset, text: shown.joined(separator: " "), form: "\(shown.first ?? "") inside")
        }
        return ListedInstruction(offset: offset, text: text, form: text)
    }

    /// The instruction with the symbol in place of the relocated field.
    ///
    /// - Parameters:
    ///   - symbol: symbol and addend as objdump writes them: `strlen-0x4`.
    ///   - distance: bytes from the field to the end of the instruction, which PC-relative addends include.
    private static func relocated(
        _ text: String, offset: Int, symbol: Substring, distance: Int
    ) -> ListedInstruction {
        var name = symbol
        var addend = 0
        if let sign = symbol.lastIndex(where: { $0 == "+" || $0 == "-" }),
            let number = Int(symbol[symbol.index(after: sign)...].dropFirst(2), radix: 16)
        {
            name = symbol[..<sign]
            addend = symbol[sign] == "+" ? number : -number
        }
        let rest = addend &+ distance
        let place = rest == 0 ? String(name) : "\(name)\(rest < 0 ? "-" : "+")0x\(String(abs(rest), radix: 16))"
        let shown: String
        if text.contains("0x0(%rip)") {
            shown = text.replacing("0x0(%rip)", with: "\(place)(%rip)")
        } else if text.contains("<") {
            shown = "\(text.prefix { $0 != " " }) \(place)"
        } else {
            shown = "\(text) {\(symbol)}"
        }
        // Labels, and places in what the linker merges, are numbered anew by each compilation.
        let isNumbered = name.hasPrefix(".L") || name.contains(".str") || name.hasPrefix(".rodata.cst")
        let form = shown.replacing(place, with: isNumbered ? ".constant" : SymbolStem.stem(place))
        return ListedInstruction(offset: offset, text: shown, form: form)
    }

    /// One space between words.
    private static func squeezed(_ text: Substring) -> String {
        text.split { $0 == " " }.joined(separator: " ")
    }
}
