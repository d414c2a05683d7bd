//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF

/// Finds out which changed functions refer to each other, directly or by functions that are new or gone, by
/// unchanged ones that the compiler knows the callees of, or by unchanged data.
///
/// Where they do, an old function may not go on with a new one: the compiler knows both sides, and may for
/// example leave values in registers that only the old callee spared (`-fipa-ra`), or have agreed on other
/// arguments. One changed function alone is safe, since the compiler came to the same bytes for all its
/// callers.
struct FunctionReferences {
    private enum Node: Hashable {
        case section(unit: Int, isPost: Bool, section: Int)
    }

    private let units: [RebuiltUnit]
    /// By unit: whether the compiler had to reckon with another definition of what is seen outside.
    private let isInterposable: [Bool]
    private var definitions: [String: [Node]] = [:]

    init(_ units: [RebuiltUnit], shipped: ShippedBinary) {
        self.units = units
        // Nothing interposes what a program defines itself. The options show in DW_AT_producer, so without that
        // nothing is known of them; -Ofast implies the other (GCC manual, "Optimize Options").
        isInterposable = units.map { unit in
            let has = { (text: String) in unit.plain.bytes.contains([UInt8](text.utf8)) }
            return shipped.soname != nil && !shipped.isExecutable && has("GNU C") && !has("-fno-semantic-interposition")
                && !has("-Ofast")
        }
        for (number, unit) in units.enumerated() {
            for isPost in [false, true] {
                let table = isPost ? unit.diff.post : unit.diff.pre
                for symbol in table.object.symbols where !symbol.isLocal {
                    guard let section = symbol.section, table.items[section] != nil else { continue }
                    definitions[symbol.baseName, default: []].append(
                        .section(unit: number, isPost: isPost, section: section))
                }
            }
        }
    }

    /// A reference between two changed functions, by their names; nil where there is none.
    func first() -> (from: String, to: String)? {
        for (number, unit) in units.enumerated() {
            for (index, function) in unit.diff.changed.enumerated() {
                let starts =
                    function.pre.map { Node.section(unit: number, isPost: false, section: $0) }
                    + function.post.map { Node.section(unit: number, isPost: true, section: $0) }
                if let other = reach(from: starts, unit: number, function: index) { return (function.name, other) }
            }
        }
        return nil
    }

    private func reach(from starts: [Node], unit: Int, function: Int) -> String? {
        var queue = starts
        var seen = Set(starts)
        while let node = queue.popLast() {
            for next in references(of: node) where seen.insert(next).inserted {
                guard case .section(let number, let isPost, let section) = next else { continue }
                if let changed = changed(unit: number, isPost: isPost, section: section) {
                    if number != unit || changed != function { return units[number].diff.changed[changed].name }
                    continue
                }
                if isPassedThrough(unit: number, isPost: isPost, section: section) { queue.append(next) }
            }
        }
        return nil
    }

    private func changed(unit: Int, isPost: Bool, section: Int) -> Int? {
        if isPost { return units[unit].changedSections[section] }
        return units[unit].diff.changed.firstIndex { $0.pre.contains(section) }
    }

    /// Added and removed functions stand for the changed ones that use them; data lead to what they hold.
    ///
    /// What the compiler knows of a function it knows of its callees too: which registers they spare, what they
    /// write. So the callers of an unchanged function can depend on a changed one below it, unless another
    /// definition may take its place at run time.
    private func isPassedThrough(unit: Int, isPost: Bool, section: Int) -> Bool {
        let diff = units[unit].diff
        guard let item = (isPost ? diff.post : diff.pre).items[section] else { return false }
        guard item.kind == .code else { return true }
        if (isPost ? diff.origin[section] : diff.partner[section]) < 0 { return true }
        let symbols = (isPost ? diff.post : diff.pre).object.symbols
        return !isInterposable[unit]
            || !item.symbols.allSatisfy { !symbols[$0].isLocal && symbols[$0].visibility == .default }
    }

    private func references(of node: Node) -> [Node] {
        guard case .section(let unit, let isPost, let section) = node else { return [] }
        let table = isPost ? units[unit].diff.post : units[unit].diff.pre
        var result: [Node] = []
        for relocation in table.object.sections[section].relocations {
            let symbol = table.object.symbols[relocation.symbol]
            if let target = symbol.section {
                result.append(.section(unit: unit, isPost: isPost, section: target))
            } else {
                result += definitions[symbol.baseName] ?? []
            }
        }
        return result
    }
}
