//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// What a fix changes in one object, by functions and data.
struct ObjectDiff: Sendable {
    /// A function that is different after the fix. Its cold part, which has a section of its own, belongs
    /// to it.
    struct Function: Sendable {
        /// Sections before the fix, the function's own first; empty for an added one.
        var pre: [Int]
        /// Sections after the fix, the function's own first; empty for a removed one.
        var post: [Int]
        /// The name before the fix, or after it for an added one.
        var name: String
    }

    let pre: ItemTable
    let post: ItemTable
    /// For each section before the fix the one after it, or -1.
    let partner: [Int]
    /// For each section after the fix the one before it, or -1.
    let origin: [Int]
    var changed: [Function] = []
    var added: [Function] = []
    var removed: [Function] = []
    /// Sections before the fix of data with other contents.
    var changedData: [Int] = []
    /// Sections after the fix.
    var addedData: [Int] = []
    /// Sections before the fix.
    var removedData: [Int] = []
    /// Names seen outside of the object that mean another function or datum after the fix (an alias that
    /// is one no longer): who uses them is the same, byte for byte.
    var movedNames: [String] = []
    /// Names of what could not be told apart.
    private let uncertain: Set<String>

    /// Whether nothing differs.
    var isEmpty: Bool {
        changed.isEmpty && added.isEmpty && removed.isEmpty && changedData.isEmpty && addedData.isEmpty
            && removedData.isEmpty && movedNames.isEmpty
    }

    /// Compares an object before and after a fix, both with a section for each function and datum.
    init(pre: ObjectFile, post: ObjectFile) {
        let preTable = ItemTable(pre)
        let postTable = ItemTable(post)
        let pairing = Pairing(pre: preTable, post: postTable)
        var comparison = pairing.comparison
        self.pre = preTable
        self.post = postTable
        partner = comparison.partner
        uncertain = pairing.uncertain
        var origin = [Int](repeating: -1, count: postTable.items.count)
        for (first, second) in comparison.partner.enumerated() where second >= 0 { origin[second] = first }
        self.origin = origin

        var changedCode: Set<Int> = []
        for item in preTable.items {
            guard let item, item.kind != .literal, item.kind != .merged else { continue }
            let second = comparison.partner[item.section]
            if item.kind == .code {
                if second < 0 || !comparison.same(item.section, second) { changedCode.insert(item.section) }
            } else if second < 0 {
                removedData.append(item.section)
            } else if !comparison.same(item.section, second) {
                changedData.append(item.section)
            }
        }
        var addedCode: Set<Int> = []
        for item in postTable.items {
            guard let item, item.kind != .literal, item.kind != .merged, origin[item.section] < 0 else { continue }
            if item.kind == .code { addedCode.insert(item.section) } else { addedData.append(item.section) }
        }
        group(changedCode: changedCode, addedCode: addedCode)
        findMovedNames()
    }

    private mutating func findMovedNames() {
        var before: [String: Int] = [:]
        for symbol in pre.object.symbols where !symbol.isLocal {
            if let section = symbol.section, pre.items[section] != nil { before[symbol.name] = section }
        }
        for symbol in post.object.symbols where !symbol.isLocal {
            guard let section = symbol.section, let old = before[symbol.name], partner[old] != section else { continue }
            movedNames.append(symbol.name)
        }
    }

    /// Names of what could not be told apart and is changed or used by a changed or added function, sorted.
    ///
    /// A wrong pair makes what uses it look changed, so only these matter.
    func uncertainNames() -> [String] {
        var result: Set<String> = []
        for function in changed + added + removed {
            for section in function.pre { collect(section, in: pre, into: &result) }
            for section in function.post { collect(section, in: post, into: &result) }
        }
        for section in changedData { collect(section, in: pre, into: &result) }
        return result.intersection(uncertain).sorted()
    }

    private func collect(_ section: Int, in table: ItemTable, into result: inout Set<String>) {
        if let item = table.items[section] { result.insert(item.name) }
        for relocation in table.object.sections[section].relocations {
            if let item = table.item(ofSymbol: relocation.symbol) { result.insert(item.name) }
        }
    }

    /// Puts cold parts to their functions: a function is changed where one of its parts is.
    private mutating func group(changedCode: Set<Int>, addedCode: Set<Int>) {
        let preParts = Self.parts(pre)
        let postParts = Self.parts(post)
        var usedPost: Set<Int> = []
        for (main, cold) in preParts {
            let second = partner[main]
            let postCold = second >= 0 ? postParts.first { $0.main == second }?.cold ?? [] : []
            let isChanged =
                changedCode.contains(main) || cold.contains { changedCode.contains($0) }
                || postCold.contains { addedCode.contains($0) }
            usedPost.insert(second)
            guard isChanged else { continue }
            let function = Function(
                pre: [main] + cold, post: second < 0 ? [] : [second] + postCold, name: pre.items[main]?.name ?? "")
            if second < 0 { removed.append(function) } else { changed.append(function) }
        }
        for (main, cold) in postParts where !usedPost.contains(main) && origin[main] < 0 {
            added.append(Function(pre: [], post: [main] + cold, name: post.items[main]?.name ?? ""))
        }
    }

    /// The functions with their cold parts, in the order of the sections.
    private static func parts(_ table: ItemTable) -> [(main: Int, cold: [Int])] {
        var byName: [String: Int] = [:]
        for item in table.items {
            guard let item, item.kind == .code else { continue }
            for index in item.symbols { byName[table.object.symbols[index].name] = item.section }
        }
        var cold: [Int: [Int]] = [:]
        var isCold: Set<Int> = []
        for item in table.items {
            guard let item, item.kind == .code, let parent = SymbolStem.parentOfCold(item.name),
                let main = byName[parent], main != item.section
            else { continue }
            cold[main, default: []].append(item.section)
            isCold.insert(item.section)
        }
        var result: [(main: Int, cold: [Int])] = []
        for item in table.items {
            guard let item, item.kind == .code, !isCold.contains(item.section) else { continue }
            result.append((item.section, cold[item.section] ?? []))
        }
        return result
    }
}
