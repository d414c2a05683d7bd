//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import DWARF

extension LayoutComparison {
    /// What is different between two types, or two variables; empty where nothing is.
    ///
    /// - Throws: `DWARFError` where debug information contradicts itself.
    mutating func differences(
        _ first: EntryID, _ second: EntryID
    ) throws(DWARFError) -> [LayoutChange.Difference] {
        if let old = try pre.variable(first), let new = try post.variable(second) {
            guard try !sameness.same(old.type, new.type) else { return [] }
            // A datum of another size has other contents: that is found and judged as changed data.
            if let before = old.type, let after = new.type, let size = try self.size(of: before, isPost: false),
                let other = try self.size(of: after, isPost: true), size != other
            {
                return []
            }
            return [try .type(before: Self.spelled(old.type, pre), after: Self.spelled(new.type, post))]
        }
        let (old, new) = (try pre.type(first), try post.type(second))
        var result: [LayoutChange.Difference] = []
        if old.kind == .typedef {
            guard try !sameness.same(old.target, new.target) else { return [] }
            return [try .type(before: Self.spelled(old.target, pre), after: Self.spelled(new.target, post))]
        }
        if let before = old.byteSize, let after = new.byteSize, before != after {
            result.append(.size(before: before, after: after))
        }
        if old.alignment != new.alignment { result.append(.alignment(before: old.alignment, after: new.alignment)) }
        if old.kind == .enumeration {
            if let before = old.target, let after = new.target, try !sameness.same(before, after) {
                result.append(try .type(before: Self.spelled(before, pre), after: Self.spelled(after, post)))
            }
            result += Self.enumerators(try pre.enumerators(of: first), try post.enumerators(of: second))
        } else {
            result += try members(first, second)
            result += Self.virtualFunctions(
                try pre.virtualFunctions(of: first), try post.virtualFunctions(of: second))
        }
        return result
    }

    private static func enumerators(_ old: [Enumerator], _ new: [Enumerator]) -> [LayoutChange.Difference] {
        guard old != new else { return [] }
        let before = Dictionary(old.map { ($0.name, $0.value) }) { first, _ in first }
        let after = Dictionary(new.map { ($0.name, $0.value) }) { first, _ in first }
        var result: [LayoutChange.Difference] = []
        for enumerator in old {
            if let value = after[enumerator.name] {
                guard value != enumerator.value else { continue }
                result.append(.enumeratorValue(name: enumerator.name, before: enumerator.value, after: value))
            } else {
                result.append(.enumeratorRemoved(name: enumerator.name, value: enumerator.value))
            }
        }
        for enumerator in new where before[enumerator.name] == nil {
            result.append(.enumeratorAdded(name: enumerator.name, value: enumerator.value))
        }
        return result
    }

    private static func virtualFunctions(
        _ old: [VirtualFunction], _ new: [VirtualFunction]
    ) -> [LayoutChange.Difference] {
        guard old != new else { return [] }
        let after = Dictionary(new.map { ($0.name, $0.slot) }) { first, _ in first }
        let before = Set(old.map(\.name))
        var result: [LayoutChange.Difference] = []
        for function in old {
            let slot = after[function.name] ?? nil
            if slot != function.slot || after[function.name] == nil {
                result.append(.virtualFunction(name: function.name, before: function.slot ?? 0, after: slot))
            }
        }
        for function in new where !before.contains(function.name) {
            result.append(.virtualFunction(name: function.name, before: nil, after: function.slot ?? 0))
        }
        return result
    }

    private mutating func members(
        _ first: EntryID, _ second: EntryID
    ) throws(DWARFError) -> [LayoutChange.Difference] {
        let old = Self.labelled(try pre.members(of: first))
        let new = Self.labelled(try post.members(of: second))
        // Nearly all are the same.
        if try isSame(old, new) { return [] }
        let after = Dictionary(new.map { ($0.label, $0.member) }) { first, _ in first }
        let before = Set(old.map(\.label))
        var result: [LayoutChange.Difference] = []
        for (label, member) in old {
            let place = LayoutChange.MemberPlace(bitOffset: member.bitOffset, bitSize: member.bitSize)
            guard let other = after[label] else {
                result.append(
                    .memberRemoved(name: label, type: try pre.spelling(of: member.type), place: place))
                continue
            }
            let otherPlace = LayoutChange.MemberPlace(bitOffset: other.bitOffset, bitSize: other.bitSize)
            if place != otherPlace { result.append(.memberMoved(name: label, before: place, after: otherPlace)) }
            if try !sameness.same(member.type, other.type) {
                result.append(
                    try .memberType(
                        name: label, before: Self.spelled(member.type, pre), after: Self.spelled(other.type, post)))
            } else if let type = member.type, let otherType = other.type,
                let size = try size(of: type, isPost: false),
                let otherSize = try self.size(of: otherType, isPost: true),
                size != otherSize
            {
                result.append(.memberSize(name: label, before: size, after: otherSize))
            }
        }
        for (label, member) in new where !before.contains(label) {
            result.append(
                .memberAdded(
                    name: label, type: try post.spelling(of: member.type),
                    place: LayoutChange.MemberPlace(bitOffset: member.bitOffset, bitSize: member.bitSize)))
        }
        return result
    }

    private mutating func isSame(
        _ old: [(label: String, member: Member)], _ new: [(label: String, member: Member)]
    ) throws(DWARFError) -> Bool {
        guard old.count == new.count else { return false }
        for (first, second) in zip(old, new) {
            guard first.label == second.label, first.member.bitOffset == second.member.bitOffset,
                first.member.bitSize == second.member.bitSize, try sameness.same(first.member.type, second.member.type)
            else { return false }
            guard let type = first.member.type, let other = second.member.type else { continue }
            let sizes = (try size(of: type, isPost: false), try size(of: other, isPost: true))
            if sizes.0 != sizes.1 { return false }
        }
        return true
    }

    /// Members with names that tell them apart; those without a name are counted.
    private static func labelled(_ members: [Member]) -> [(label: String, member: Member)] {
        var unnamed = 0
        return members.map { member in
            if member.isBaseClass { return ("(base class \(member.name ?? "without name"))", member) }
            if let name = member.name { return (name, member) }
            unnamed += 1
            return ("(\(unnamed))", member)
        }
    }

    private mutating func size(of type: EntryID, isPost: Bool) throws(DWARFError) -> UInt64? {
        if let known = isPost ? sizes.post[type] : sizes.pre[type] { return known == .max ? nil : known }
        let size = try (isPost ? post : pre).sizeInBytes(of: type)
        if isPost { sizes.post[type] = size ?? .max } else { sizes.pre[type] = size ?? .max }
        return size
    }

    /// How a type is written, with what a typedef stands for.
    private static func spelled(_ id: EntryID?, _ information: DebugInformation) throws(DWARFError) -> String {
        let text = try information.spelling(of: id)
        guard let id, try information.type(id).kind == .typedef else { return text }
        let meaning = try information.spelling(of: try TypeSameness.stripped(id, information)?.id)
        return text == meaning || meaning.hasSuffix(" " + text) ? text : "\(text) (\(meaning))"
    }
}
