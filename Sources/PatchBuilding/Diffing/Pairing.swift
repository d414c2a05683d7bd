//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Finds for each function and datum before the fix the one after it.
struct Pairing {
    private(set) var comparison: ItemComparison
    private var taken: [Bool]
    /// Names of functions and data that could not be told apart with certainty; they were paired by order or name.
    private(set) var uncertain: Set<String> = []

    init(pre: ItemTable, post: ItemTable) {
        comparison = ItemComparison(pre: pre, post: post)
        taken = [Bool](repeating: false, count: post.items.count)
        pairGlobals()
        pairLocals()
        comparison.forgetLiterals()
    }

    private mutating func pair(_ first: Int, _ second: Int) {
        comparison.partner[first] = second
        taken[second] = true
    }

    private static func hasIdentity(_ item: Item) -> Bool { item.kind != .literal && item.kind != .merged }

    /// What is seen outside of the object is its name. So is what has a name of its own inside.
    private mutating func pairGlobals() {
        var byName: [String: Int] = [:]
        for item in comparison.post.items {
            guard let item, Self.hasIdentity(item) else { continue }
            for index in item.symbols where !comparison.post.object.symbols[index].isLocal {
                byName[comparison.post.object.symbols[index].name] = item.section
            }
        }
        for item in comparison.pre.items {
            guard let item, Self.hasIdentity(item) else { continue }
            for index in item.symbols where !comparison.pre.object.symbols[index].isLocal {
                guard let other = byName[comparison.pre.object.symbols[index].name], !taken[other],
                    comparison.partner[item.section] < 0
                else { continue }
                pair(item.section, other)
            }
        }
    }

    /// What is local goes by its name without the compiler's numbers; several of one stem by contents, by
    /// who uses them, and last by their whole names.
    private mutating func pairLocals() {
        var groups: [String: (pre: [Int], post: [Int])] = [:]
        for item in comparison.pre.items {
            guard let item, Self.hasIdentity(item), comparison.partner[item.section] < 0 else { continue }
            groups[Self.key(item), default: ([], [])].pre.append(item.section)
        }
        for item in comparison.post.items {
            guard let item, Self.hasIdentity(item), !taken[item.section] else { continue }
            groups[Self.key(item), default: ([], [])].post.append(item.section)
        }
        var large: [(pre: [Int], post: [Int])] = []
        for key in groups.keys.sorted() {
            guard let group = groups[key] else { continue }
            if group.pre.count == 1, group.post.count == 1 {
                pair(group.pre[0], group.post[0])
                if isOfAnotherFunction(group.pre[0], group.post[0]) {
                    uncertain.insert(name(group.post[0], in: comparison.post))
                }
            } else if !group.pre.isEmpty, !group.post.isEmpty {
                large.append(group)
            }
        }
        // Data first: functions are told apart by the data that they use, too.
        for group in large where !isCode(group.pre[0]) { pairByUse(group) }
        for group in large where isCode(group.pre[0]) { pairByContents(group) }
    }

    private static func key(_ item: Item) -> String {
        let kind =
            switch item.kind {
            case .code: "code"
            case .threadLocal: "thread"
            case .startOrEnd, .exceptionTable: "section"
            default: "data"
            }
        return kind + " " + SymbolStem.stem(item.name)
    }

    private func isCode(_ section: Int) -> Bool { comparison.pre.items[section]?.kind == .code }

    private func name(_ section: Int, in table: ItemTable) -> String { table.items[section]?.name ?? "" }

    private mutating func pairByContents(_ group: (pre: [Int], post: [Int])) {
        var post = group.post
        var left: [Int] = []
        for first in group.pre {
            let equals = post.filter { comparison.same(first, $0) }
            let exact = equals.first { name($0, in: comparison.post) == name(first, in: comparison.pre) }
            if let second = exact ?? equals.first {
                pair(first, second)
                post.removeAll { $0 == second }
            } else {
                left.append(first)
            }
        }
        // One changed clone among several can still be told; two cannot.
        if left.count > 1 || (left.count == 1 && post.count > 1) {
            for first in left { uncertain.insert(name(first, in: comparison.pre)) }
            for second in post { uncertain.insert(name(second, in: comparison.post)) }
        }
        pairByName(left, post)
    }

    private mutating func pairByName(_ pre: [Int], _ post: [Int]) {
        var post = post
        var left: [Int] = []
        for first in pre {
            if let second = post.first(where: { name($0, in: comparison.post) == name(first, in: comparison.pre) }) {
                pair(first, second)
                post.removeAll { $0 == second }
            } else {
                left.append(first)
            }
        }
        for (first, second) in zip(left, post) { pair(first, second) }
    }

    /// Variables inside functions: two of one name are told apart by the functions that use them.
    private mutating func pairByUse(_ group: (pre: [Int], post: [Int])) {
        var post = group.post
        var left: [Int] = []
        for first in group.pre {
            let users = Self.users(of: first, in: comparison.pre)
            var candidates = post.filter { Self.users(of: $0, in: comparison.post) == users }
            var rivals = group.pre.filter {
                comparison.partner[$0] < 0 && Self.users(of: $0, in: comparison.pre) == users
            }
            if candidates.count > 1 || rivals.count > 1 {
                // Several in one function: what they begin with.
                candidates = candidates.filter { comparison.same(first, $0) }
                if let only = candidates.first { rivals = rivals.filter { comparison.same($0, only) } }
            }
            if candidates.count == 1, rivals.count == 1 {
                pair(first, candidates[0])
                post.removeAll { $0 == candidates[0] }
            } else {
                left.append(first)
            }
        }
        guard !left.isEmpty else { return }
        let areConstant = (left.compactMap { comparison.pre.items[$0] } + post.compactMap { comparison.post.items[$0] })
            .allSatisfy { $0.kind == .constant }
        if areConstant {
            // Of equal constants any will do.
            var still: [Int] = []
            for first in left {
                if let second = post.first(where: { comparison.same(first, $0) }) {
                    pair(first, second)
                    post.removeAll { $0 == second }
                } else {
                    still.append(first)
                }
            }
            left = still
        } else {
            for first in left { uncertain.insert(name(first, in: comparison.pre)) }
            for second in post { uncertain.insert(name(second, in: comparison.post)) }
            // The compiler's order is the likeliest: where what uses them then compares equal, it is right.
            if left.count == post.count {
                for (first, second) in zip(left, post) { pair(first, second) }
                return
            }
        }
        pairByName(left, post)
    }

    /// Whether a variable of a function is used by quite other functions after the fix: two functions may each
    /// have one of the same name.
    private func isOfAnotherFunction(_ first: Int, _ second: Int) -> Bool {
        guard let item = comparison.pre.items[first], item.kind == .variable,
            SymbolStem.stem(item.name).hasSuffix(".")
        else { return false }
        let functions = { (users: Set<String>) in Set(users.map { $0.prefix { $0 != "." } }) }
        let new = functions(Self.users(of: second, in: comparison.post))
        return !new.isEmpty && new.isDisjoint(with: functions(Self.users(of: first, in: comparison.pre)))
    }

    /// Stems of the names of what refers to a section.
    private static func users(of section: Int, in table: ItemTable) -> Set<String> {
        var result: Set<String> = []
        for item in table.items {
            guard let item else { continue }
            for relocation in table.object.sections[item.section].relocations
            where table.object.symbols[relocation.symbol].section == section {
                result.insert(SymbolStem.stem(item.name))
            }
        }
        return result
    }
}
