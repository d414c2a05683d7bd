//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import DWARF

/// Tells whether types before and after a fix are the same: whether a value of the one can be read as the other.
///
/// Names of typedefs, `const`, `volatile` and `restrict` make no difference. Structures, unions, classes and
/// enumerations are the same if their names are: their own layouts are compared by themselves.
struct TypeSameness {
    private struct Pair: Hashable {
        var pre: EntryID
        var post: EntryID
    }

    let pre: DebugInformation
    let post: DebugInformation
    /// What was found out; also keeps types that refer to themselves from being followed forever.
    private var isSame: [Pair: Bool] = [:]

    init(pre: DebugInformation, post: DebugInformation) {
        self.pre = pre
        self.post = post
    }

    /// A type without names and qualifiers that change nothing about its values; nil for `void`.
    static func stripped(_ id: EntryID?, _ information: DebugInformation) throws(DWARFError) -> DebugType? {
        var next = id
        // A chain that is longer is none of a compiler; it then differs from every other.
        for _ in 0..<64 {
            guard let current = next else { return nil }
            let type = try information.type(current)
            switch type.kind {
            case .typedef, .const, .volatile, .restrict: next = type.target
            default: return type
            }
        }
        throw DWARFError(.limitExceeded, at: id.map(information.offset) ?? 0, "a chain of types is too long")
    }

    /// Whether a type before the fix and one after it are the same; nil stands for `void`.
    ///
    /// - Throws: `DWARFError` where debug information contradicts itself.
    mutating func same(_ first: EntryID?, _ second: EntryID?, depth: Int = 0) throws(DWARFError) -> Bool {
        guard depth < 256 else {
            throw DWARFError(.limitExceeded, at: first.map(pre.offset) ?? 0, "types are nested too deep")
        }
        if let first, let second, let known = isSame[Pair(pre: first, post: second)] { return known }
        let strippedTypes = (try Self.stripped(first, pre), try Self.stripped(second, post))
        guard let old = strippedTypes.0, let new = strippedTypes.1 else {
            return strippedTypes.0 == nil && strippedTypes.1 == nil
        }
        let pair = Pair(pre: old.id, post: new.id)
        if let known = isSame[pair] { return known }
        isSame[pair] = true
        let result = try compare(old, new, depth: depth + 1)
        isSame[pair] = result
        if let first, let second { isSame[Pair(pre: first, post: second)] = result }
        return result
    }

    private mutating func compare(_ old: DebugType, _ new: DebugType, depth: Int) throws(DWARFError) -> Bool {
        if let kind = LayoutChange.Kind(old.kind), let other = LayoutChange.Kind(new.kind) {
            // Their own layouts are compared by themselves.
            let names = (try pre.name(of: old.id), try post.name(of: new.id))
            return kind.paired == other.paired && names.0 == names.1
        }
        guard old.kind == new.kind, old.byteSize == new.byteSize, old.encoding == new.encoding,
            old.isVector == new.isVector
        else { return false }
        switch old.kind {
        case .base, .unspecified: return try pre.name(of: old.id) == post.name(of: new.id)
        case .array:
            guard pre.counts(of: old.id) == post.counts(of: new.id) else { return false }
        case .function:
            let (parameters, others) = (try pre.parameters(of: old.id), try post.parameters(of: new.id))
            guard parameters.isVariadic == others.isVariadic, parameters.types.count == others.types.count else {
                return false
            }
            for (parameter, other) in zip(parameters.types, others.types)
            where try !same(parameter, other, depth: depth) {
                return false
            }
        default: break
        }
        return try same(old.target, new.target, depth: depth)
    }
}

extension LayoutChange.Kind {
    /// Kinds that have a layout or a meaning of their own.
    init?(_ kind: DebugType.Kind) {
        switch kind {
        case .structure: self = .structure
        case .class: self = .class
        case .union: self = .union
        case .enumeration: self = .enumeration
        case .typedef: self = .typedef
        default: return nil
        }
    }

    /// The kind under which a type is looked for: `struct` and `class` are two words for one thing.
    var paired: Self { self == .class ? .structure : self }
}
