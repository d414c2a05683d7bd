//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF
internal import Unwinding

/// What one FDE of `.eh_frame` covers: the exact bounds of a compiled function, also in a stripped file.
struct FunctionRange: Sendable, Equatable {
    /// First byte: a target-relative address, or an offset in the section of a relocatable object.
    var start: Int
    /// Number of bytes.
    var size: Int
    /// Whether exception handling or cleanup has data for it (LSDA).
    var hasLanguageData: Bool
    /// Index of the FDE in the table it was read from.
    var descriptionIndex: Int
}

extension ObjectFile {
    /// The unwind table of the object, before relocation; nil where it has none.
    ///
    /// - Throws: `PatchBuildingError` where it is malformed.
    func frameTable() throws(PatchBuildingError) -> (table: FrameTable, section: Int)? {
        guard let section = sections.firstIndex(where: { $0.name == ".eh_frame" && $0.size > 0 }) else { return nil }
        do {
            return (try FrameTable(section: [UInt8](contents(section)), address: 0), section)
        } catch {
            throw PatchBuildingError(.malformedObject, "\(name): .eh_frame: \(error.reason)")
        }
    }

    /// The functions that have unwind rules, by section, sorted by offset.
    ///
    /// - Throws: `PatchBuildingError` where the rules are malformed or not relocated as compilers do it.
    func functionRanges() throws(PatchBuildingError) -> [[FunctionRange]] {
        var result = [[FunctionRange]](repeating: [], count: sections.count)
        guard let (table, unwindSection) = try frameTable() else { return result }
        var relocations: [Int: ObjectRelocation] = [:]
        for relocation in sections[unwindSection].relocations { relocations[relocation.offset] = relocation }
        for index in 0..<table.count {
            guard let description = try? table.description(index: index),
                let relocation = relocations[description.startFieldOffset],
                relocation.type == .pc32 || relocation.type == .pc64 || relocation.type == .absolute64,
                let section = symbols[relocation.symbol].section, let size = Int(exactly: description.size)
            else {
                throw PatchBuildingError(.malformedObject, "\(name): an entry of .eh_frame names no function")
            }
            let start = symbols[relocation.symbol].value &+ relocation.addend
            guard start >= 0, start <= sections[section].size, size <= sections[section].size - start else {
                throw PatchBuildingError(.malformedObject, "\(name): an entry of .eh_frame ends outside its section")
            }
            result[section].append(
                FunctionRange(
                    start: start, size: size, hasLanguageData: description.languageDataFieldOffset != nil,
                    descriptionIndex: index))
        }
        for section in result.indices { result[section].sort { $0.start < $1.start } }
        return result
    }
}
