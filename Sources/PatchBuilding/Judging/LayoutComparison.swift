//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import DWARF

/// Compares the types and variables of an object before and after a fix.
///
/// All types that both define are compared, not only those that a changed function is seen to use: debug information
/// does not tell of a use in a cast or in `sizeof`, as every allocation is one. Types are paired by kind and name; a
/// type that only one of both defines is no change by itself, for what is made of it changes with it.
struct LayoutComparison {
    /// A change with the entries that it was found in.
    struct Finding {
        var change: LayoutChange
        var pre: EntryID
        var post: EntryID
    }

    private struct Key: Hashable {
        var kind: LayoutChange.Kind
        var name: String
    }

    /// What is compared, by kind and name in the order of the file. Several of one name are local to blocks.
    private struct Catalogue {
        var keys: [Key] = []
        var types: [Key: [EntryID]] = [:]
        /// Enumerations that nothing names, and all others by their enumerators.
        var unnamedEnumerations: [EntryID] = []
        var enumerations: [EntryID] = []

        mutating func add(_ id: EntryID, _ key: Key) {
            if types[key] == nil { keys.append(key) }
            types[key, default: []].append(id)
        }
    }

    let pre: DebugInformation
    let post: DebugInformation
    var sameness: TypeSameness
    /// Sizes of types in bytes; the largest number for what has none that is known.
    var sizes: (pre: [EntryID: UInt64], post: [EntryID: UInt64]) = ([:], [:])

    init(pre: DebugInformation, post: DebugInformation) {
        self.pre = pre
        self.post = post
        sameness = TypeSameness(pre: pre, post: post)
    }

    /// What is different, in the order of the file before the fix.
    ///
    /// - Throws: `DWARFError` where debug information contradicts itself.
    mutating func findings() throws(DWARFError) -> [Finding] {
        var result: [Finding] = []
        var places = (pre: SourcePlaces(pre), post: SourcePlaces(post))
        let before = try Self.catalogue(pre)
        let after = try Self.catalogue(post)
        for key in before.keys {
            guard let old = before.types[key], let new = after.types[key] else { continue }
            for (first, second, differences) in try paired(old, new) {
                result.append(
                    Finding(
                        change: LayoutChange(
                            kind: try kind(of: first), name: key.name, differences: differences,
                            before: try places.pre.place(of: first), after: try places.post.place(of: second),
                            objects: [], functions: []), pre: first, post: second))
            }
        }
        for first in before.unnamedEnumerations {
            guard let second = try enumeration(like: first, in: after) else { continue }
            let differences = try differences(first, second)
            guard !differences.isEmpty else { continue }
            let name = try pre.enumerators(of: first).first?.name ?? ""
            result.append(
                Finding(
                    change: LayoutChange(
                        kind: .enumeration, name: "(unnamed, with \(name))", differences: differences,
                        before: try places.pre.place(of: first), after: try places.post.place(of: second), objects: [],
                        functions: []), pre: first, post: second))
        }
        return result
    }

    private func kind(of id: EntryID) throws(DWARFError) -> LayoutChange.Kind {
        guard try pre.variable(id) == nil else { return .variable }
        return LayoutChange.Kind(try pre.type(id).kind) ?? .typedef
    }

    private static func catalogue(_ information: DebugInformation) throws(DWARFError) -> Catalogue {
        var result = Catalogue()
        for id in information.namedTypes {
            let type = try information.type(id)
            guard type.id == id, !type.isDeclaration, let kind = LayoutChange.Kind(type.kind) else { continue }
            if kind == .enumeration { result.enumerations.append(id) }
            if let name = try information.name(of: id) {
                result.add(id, Key(kind: kind.paired, name: name))
            } else if kind == .enumeration {
                result.unnamedEnumerations.append(id)
            }
        }
        for variable in try information.staticVariables() {
            result.add(variable.id, Key(kind: .variable, name: variable.name))
        }
        return result
    }

    /// Pairs those of one name: first what is equal, then the rest in order.
    private mutating func paired(
        _ old: [EntryID], _ new: [EntryID]
    ) throws(DWARFError) -> [(EntryID, EntryID, [LayoutChange.Difference])] {
        var left = new
        var unequal: [EntryID] = []
        for first in old {
            var match: Int?
            for (index, second) in left.enumerated() where try differences(first, second).isEmpty {
                match = index
                break
            }
            if let match {
                // One that stands for several equal ones (a header's, in several units) may do so again.
                if left.count > 1 { left.remove(at: match) }
            } else {
                unequal.append(first)
            }
        }
        var result: [(EntryID, EntryID, [LayoutChange.Difference])] = []
        for (index, first) in unequal.enumerated() {
            let second = left[min(index, left.count - 1)]
            let differences = try differences(first, second)
            if !differences.isEmpty { result.append((first, second, differences)) }
        }
        return result
    }

    /// The enumeration after the fix that has an enumerator of one without a name.
    private func enumeration(like first: EntryID, in after: Catalogue) throws(DWARFError) -> EntryID? {
        let names = Set(try pre.enumerators(of: first).map(\.name))
        for id in after.unnamedEnumerations + after.enumerations {
            if try post.enumerators(of: id).contains(where: { names.contains($0.name) }) { return id }
        }
        return nil
    }
}
