//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF

/// A section of an object that was built with a section for each function and datum: the unit of the
/// comparison.
struct Item: Sendable {
    /// What a section holds.
    enum Kind: Sendable, Equatable {
        /// Machine code.
        case code
        /// Constants that the compiler made for functions: they have no identity of their own, contents decide.
        case literal
        /// Strings and constants that the linker merges: compared where they are referred to.
        case merged
        /// Data that are never written (or only by the dynamic linker).
        case constant
        /// Data that are written.
        case variable
        /// Thread-local data.
        case threadLocal
        /// Addresses of functions that run at the start or the end.
        case startOrEnd
        /// Tables for exception handling.
        case exceptionTable
    }

    /// Index of the section.
    let section: Int
    let kind: Kind
    /// The first symbol's name; the section's where there is none.
    let name: String
    /// All functions and data that are defined in it, by symbol index.
    let symbols: [Int]
    /// Whether a symbol is seen outside of the object.
    let isGlobal: Bool
    /// Whether it holds more than one function or datum (hand-written code, a compiler without
    /// sections): then it cannot be taken apart.
    let isCompound: Bool
}

/// The items of an object.
struct ItemTable: Sendable {
    let object: ObjectFile
    /// By section index; nil for sections that are not loaded.
    let items: [Item?]

    /// Sorts the sections of an object.
    init(_ object: ObjectFile) {
        self.object = object
        var symbols = [[Int]](repeating: [], count: object.sections.count)
        for (index, symbol) in object.symbols.enumerated() {
            guard let section = symbol.section, symbol.type != .section, symbol.type != .file else { continue }
            // Labels are no data of their own, but hand-written code has no other names.
            if symbol.type == .none, symbol.isLocal { continue }
            symbols[section].append(index)
        }
        items = object.sections.indices.map { Self.item($0, in: object, symbols: symbols[$0]) }
    }

    private static func item(_ index: Int, in object: ObjectFile, symbols: [Int]) -> Item? {
        let section = object.sections[index]
        guard section.isAllocated, section.type != .note, section.name != ".eh_frame", section.type != .x86_64Unwind
        else { return nil }
        // Assemblers write empty .text, .data and .bss whether they are used or not.
        if section.size == 0, symbols.isEmpty { return nil }
        let first = symbols.first.map { object.symbols[$0] }
        let name = first?.name ?? section.name
        let places = Set(symbols.map { object.symbols[$0].value })
        return Item(
            section: index, kind: kind(section, symbol: first), name: name, symbols: symbols,
            isGlobal: symbols.contains { !object.symbols[$0].isLocal },
            isCompound: places.count > 1 || (section.isCode && symbols.isEmpty))
    }

    private static func kind(_ section: ObjectSection, symbol: ObjectSymbol?) -> Item.Kind {
        if section.isCode { return .code }
        if section.flags.contains(.threadLocal) { return .threadLocal }
        if section.name.hasPrefix(".gcc_except_table") { return .exceptionTable }
        switch section.type {
        case .initArray, .finiArray, .preinitArray: return .startOrEnd
        default: break
        }
        if section.name.hasPrefix(".ctors") || section.name.hasPrefix(".dtors") { return .startOrEnd }
        if section.isMergeable, !section.isWritable { return .merged }
        let isConstant = !section.isWritable || section.isConstantAfterRelocation
        guard isConstant else { return .variable }
        guard let symbol else { return section.name.hasPrefix(".rodata") ? .literal : .constant }
        return symbol.isLocal && SymbolStem.isGenerated(symbol.name) ? .literal : .constant
    }

    /// The item that a symbol is defined in.
    func item(ofSymbol index: Int) -> Item? {
        guard let section = object.symbols[index].section else { return nil }
        return items[section]
    }
}
