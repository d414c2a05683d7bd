//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF

/// Compares items of the object before and after the fix, references by what they refer to.
struct ItemComparison {
    let pre: ItemTable
    let post: ItemTable
    /// For each section before the fix the section after it that is the same function or datum, or -1.
    var partner: [Int]
    /// Results for literals, by sections before and after; nil while a comparison is under way.
    private var literals: [[Int]: Bool] = [:]

    init(pre: ItemTable, post: ItemTable) {
        self.pre = pre
        self.post = post
        partner = [Int](repeating: -1, count: pre.items.count)
    }

    /// Whether two sections have the same bytes and refer to the same things.
    mutating func same(_ first: Int, _ second: Int) -> Bool {
        let before = pre.object.sections[first]
        let after = post.object.sections[second]
        guard before.size == after.size, before.isWritable == after.isWritable, before.type == after.type,
            before.isConstantAfterRelocation == after.isConstantAfterRelocation,
            before.isCode == after.isCode, before.relocations.count == after.relocations.count,
            pre.object.contents(first).elementsEqual(post.object.contents(second)),
            // Code may rely on what data are aligned to, and the target's own stay where they are.
            before.isCode || before.alignment >= after.alignment, hasSameLayout(first, second)
        else { return false }
        for (old, new) in zip(before.relocations, after.relocations) {
            guard old.offset == new.offset, old.type == new.type else { return false }
            guard refersToSame(old, new) else { return false }
        }
        return true
    }

    /// Whether what shares a section lies at the same places of it.
    private func hasSameLayout(_ first: Int, _ second: Int) -> Bool {
        guard let old = pre.items[first], let new = post.items[second], old.isCompound || new.isCompound else {
            return true
        }
        let layout = { (item: Item, object: ObjectFile) in
            item.symbols.map { SymbolStem.stem(object.symbols[$0].name) + " \(object.symbols[$0].value)" }.sorted()
        }
        return layout(old, pre.object) == layout(new, post.object)
    }

    private mutating func refersToSame(_ old: ObjectRelocation, _ new: ObjectRelocation) -> Bool {
        let before = pre.object.symbols[old.symbol]
        let after = post.object.symbols[new.symbol]
        if !before.isLocal || !after.isLocal {
            // A global symbol is its name, wherever it is defined.
            return old.addend == new.addend && before.baseName == after.baseName && before.isLocal == after.isLocal
                && before.isCommon == after.isCommon && (!before.isCommon || before.size == after.size)
        }
        guard let first = before.section, let second = after.section else {
            return before.section == nil && after.section == nil && old.addend == new.addend
                && before.value == after.value && before.name == after.name
        }
        guard let oldItem = pre.items[first], let newItem = post.items[second], oldItem.kind == newItem.kind else {
            return false
        }
        if oldItem.kind == .merged {
            return sameMerged(old, before, section: first, new, after, section: second)
        }
        guard old.addend == new.addend, before.value == after.value else { return false }
        switch oldItem.kind {
        case .literal: return sameLiteral(first, second)
        default: return partner[first] == second
        }
    }

    /// Merged strings and constants have no place of their own: what they hold is compared.
    private func sameMerged(
        _ old: ObjectRelocation, _ before: ObjectSymbol, section first: Int,
        _ new: ObjectRelocation, _ after: ObjectSymbol, section second: Int
    ) -> Bool {
        let oldReference = MergedReference(old, symbol: before)
        let newReference = MergedReference(new, symbol: after)
        guard oldReference.addend == newReference.addend,
            let oldLiteral = pre.object.literal(section: first, offset: oldReference.offset),
            let newLiteral = post.object.literal(section: second, offset: newReference.offset)
        else { return false }
        return oldLiteral.distance == newLiteral.distance && oldLiteral.bytes.elementsEqual(newLiteral.bytes)
    }

    private mutating func sameLiteral(_ first: Int, _ second: Int) -> Bool {
        let key = [first, second]
        if let known = literals[key] { return known }
        // A literal that refers back to itself is the same if all else is.
        literals[key] = true
        let result = same(first, second)
        literals[key] = result
        return result
    }

    /// Forgets what was found out about literals: it depended on the partners of that time.
    mutating func forgetLiterals() { literals = [:] }
}

/// A reference into a section of merged strings or constants.
struct MergedReference {
    /// Offset of what it refers to in the section.
    let offset: Int
    /// What is added to the address of that.
    let addend: Int

    init(_ relocation: ObjectRelocation, symbol: ObjectSymbol) {
        guard symbol.type == .section else {
            offset = symbol.value
            addend = relocation.addend
            return
        }
        // The addend counts from the section, and includes the distance to the end of the field.
        let distance = relocation.type == .absolute64 ? 0 : 4
        offset = symbol.value &+ relocation.addend &+ distance
        addend = -distance
    }
}
