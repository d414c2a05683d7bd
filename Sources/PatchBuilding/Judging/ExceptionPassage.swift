//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF

/// Whether an exception may pass through a function on its way to a handler.
///
/// The unwinder of a process does not know the rules of patch memory: an exception that reaches it ends the
/// process. So what may be passed through is for a person to judge, also where it has no cleanup of its own and
/// therefore no table (LSDA).
struct ExceptionPassage {
    private let table: ItemTable
    private let isThrowing: Bool
    private var decoder = InstructionDecoder()

    /// Functions of the C library that neither throw nor call back.
    private static let harmless: Set<String> = [
        "__stack_chk_fail", "abort", "calloc", "free", "malloc", "memchr", "memcmp", "memcpy", "memmove", "memset",
        "realloc", "strchr", "strcmp", "strlen", "strncmp", "strnlen", "strrchr", "strstr", "__memcpy_chk",
        "__memmove_chk", "__memset_chk",
    ]

    init(_ table: ItemTable) {
        self.table = table
        // C is compiled with it only where it is asked for; all other languages that GCC knows throw, or name
        // their functions in a way that is told here.
        let bytes = table.object.bytes
        isThrowing =
            table.object.symbols.contains { symbol in
                symbol.name.hasPrefix("_Z") || symbol.name.hasPrefix("_R") || symbol.name.hasPrefix("__cxa_")
                    || symbol.name.hasSuffix("_personality_v0") || symbol.name.hasSuffix("_eh_personality")
            } || bytes.contains(Array("GNU C++".utf8)) || bytes.contains(Array("-fexceptions".utf8))
    }

    /// Whether an exception may pass through the function of a section.
    mutating func mayPass(_ section: Int) -> Bool {
        guard isThrowing else { return false }
        var seen: Set<Int> = [section]
        return mayThrow(section, &seen)
    }

    private mutating func mayThrow(_ section: Int, _ seen: inout Set<Int>) -> Bool {
        let object = table.object
        let header = object.sections[section]
        let decoded = decoder.decode([UInt8](object.contents(section)), at: 0)
        if decoded.undecodable != nil { return true }
        // A call whose destination is no relocation of the call itself goes through a pointer.
        var known: Set<Int> = []
        for relocation in header.relocations where RebuiltUnit.isBranch(relocation, in: section, of: object) {
            known.insert(relocation.offset + 4)
            let symbol = object.symbols[relocation.symbol]
            if Self.harmless.contains(symbol.baseName), symbol.section == nil { continue }
            guard let target = symbol.section, symbol.isLocal || symbol.visibility != .default,
                table.items[target]?.kind == .code
            else { return true }
            if seen.insert(target).inserted, mayThrow(target, &seen) { return true }
        }
        return decoded.returns.contains { !known.contains($0) }
    }
}
