//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import DWARF

/// A type whose layout the fix changes, or a variable that it gives another type.
///
/// A process holds objects that old code made: new code would find their parts elsewhere. What old and new objects
/// have in common only a person can tell.
package struct LayoutChange: Sendable, Equatable {
    /// What it is. The raw values are the words of the language; they are stable.
    package enum Kind: String, Sendable {
        case structure = "struct"
        case `class`
        case union
        case enumeration = "enum"
        case typedef
        case variable
    }

    /// Where a member lies in its structure.
    package struct MemberPlace: Sendable, Equatable {
        /// Bits from the begin of the object; nil where that is computed at run time.
        package var bitOffset: UInt64?
        /// Bits of a bit-field; nil for other members.
        package var bitSize: UInt64?
    }

    /// One thing that is different.
    package enum Difference: Sendable, Equatable {
        /// The whole has another size, in bytes.
        case size(before: UInt64, after: UInt64)
        /// Another alignment is demanded, in bytes; nil for the natural one.
        case alignment(before: UInt64?, after: UInt64?)
        /// A typedef, a variable or the values of an enumeration have another type.
        case type(before: String, after: String)
        /// There is a new member.
        case memberAdded(name: String, type: String, place: MemberPlace)
        /// A member is gone.
        case memberRemoved(name: String, type: String, place: MemberPlace)
        /// A member lies elsewhere or, as a bit-field, has another size.
        case memberMoved(name: String, before: MemberPlace, after: MemberPlace)
        /// A member has another size, in bytes, since its type has.
        case memberSize(name: String, before: UInt64, after: UInt64)
        /// A member has another type.
        case memberType(name: String, before: String, after: String)
        /// There is a new enumerator. Old code may come upon its value and not know it.
        case enumeratorAdded(name: String, value: Int64)
        /// An enumerator is gone.
        case enumeratorRemoved(name: String, value: Int64)
        /// An enumerator stands for another value.
        case enumeratorValue(name: String, before: Int64, after: Int64)
        /// A virtual function is at another place of the table, or is there only before or after the fix (nil).
        case virtualFunction(name: String, before: UInt64?, after: UInt64?)
    }

    /// What it is.
    package var kind: Kind
    /// Its name with those of what it is in. A type without a name has that of its typedef, or of the member or
    /// variable that is made of it.
    package var name: String
    /// What is different, in the order of the declaration; never empty.
    package var differences: [Difference]
    /// Where it is declared before the fix; nil where that is not told.
    package var before: SourcePlace?
    /// Where it is declared after the fix, by the line numbers of the source before it.
    package var after: SourcePlace?
    /// The rebuilt objects in which it changes, sorted.
    package var objects: [String]
    /// The changed and added functions that use it, as far as debug information tells (not where it is used in casts
    /// only), sorted.
    package var functions: [String]

    /// The type as it is written: `struct record`.
    package var subject: String { "\(kind.rawValue) \(name)" }
}

extension LayoutChange.MemberPlace: CustomStringConvertible {
    /// Bytes, or bits for what does not begin or end with a byte.
    package var description: String {
        guard let bitOffset else { return "a place computed at run time" }
        if let bitSize { return "bit \(bitOffset) with \(bitSize) bits" }
        return bitOffset % 8 == 0 ? "offset \(bitOffset / 8)" : "bit \(bitOffset)"
    }
}

extension LayoutChange.Difference: CustomStringConvertible {
    /// For a person: `size 144 -> 96 bytes`.
    package var description: String {
        switch self {
        case .size(let before, let after): "size \(before) -> \(after) bytes"
        case .alignment(let before, let after):
            "alignment \(before.map { "\($0)" } ?? "natural") -> \(after.map { "\($0)" } ?? "natural")"
        case .type(let before, let after): "type \(before) -> \(after)"
        case .memberAdded(let name, let type, let place): "member \(name) (\(type)) is new at \(place)"
        case .memberRemoved(let name, let type, let place): "member \(name) (\(type)) is gone from \(place)"
        case .memberMoved(let name, let before, let after): "member \(name): \(before) -> \(after)"
        case .memberSize(let name, let before, let after): "member \(name): size \(before) -> \(after) bytes"
        case .memberType(let name, let before, let after): "member \(name): type \(before) -> \(after)"
        case .enumeratorAdded(let name, let value): "enumerator \(name) = \(value) is new"
        case .enumeratorRemoved(let name, let value): "enumerator \(name) = \(value) is gone"
        case .enumeratorValue(let name, let before, let after): "enumerator \(name): \(before) -> \(after)"
        case .virtualFunction(let name, let before?, let after?): "virtual function \(name): slot \(before) -> \(after)"
        case .virtualFunction(let name, _, nil): "virtual function \(name) is gone"
        case .virtualFunction(let name, nil, _): "virtual function \(name) is new"
        }
    }
}
