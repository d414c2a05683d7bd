//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A type, as one entry describes it (DWARF 5, chapter 5).
package struct DebugType: Sendable, Equatable {
    /// What kind of type it is. The raw values are the words for it in C and C++, where there are any.
    package enum Kind: String, Sendable {
        case structure = "struct"
        case `class`
        case union
        case enumeration = "enum"
        case typedef
        /// `int`, `double`, `char`.
        case base
        case pointer
        case reference
        case rvalueReference = "rvalue reference"
        case memberPointer = "pointer to member"
        case array
        case function
        case const
        case volatile
        case restrict
        case atomic = "_Atomic"
        /// `decltype(nullptr)`.
        case unspecified

        init?(_ tag: Tag) {
            switch tag {
            case .structureType: self = .structure
            case .classType: self = .class
            case .unionType: self = .union
            case .enumerationType: self = .enumeration
            case .typedef, .templateAlias: self = .typedef
            case .baseType: self = .base
            case .pointerType: self = .pointer
            case .referenceType: self = .reference
            case .rvalueReferenceType: self = .rvalueReference
            case .pointerToMemberType: self = .memberPointer
            case .arrayType: self = .array
            case .subroutineType: self = .function
            case .constType: self = .const
            case .volatileType: self = .volatile
            case .restrictType: self = .restrict
            case .atomicType: self = .atomic
            case .unspecifiedType: self = .unspecified
            default: return nil
            }
        }
    }

    /// The entry that describes it.
    package var id: EntryID
    /// What kind of type it is.
    package var kind: Kind
    /// Size in bytes, where the entry tells it.
    package var byteSize: UInt64?
    /// Alignment in bytes, where the source demands one; the natural one is not told.
    package var alignment: UInt64?
    /// Whether it is only declared: its layout is not known here.
    package var isDeclaration: Bool
    /// What it points to, is another name for, has as elements, returns or has as its underlying type; nil for
    /// `void`, and where there is no such type.
    package var target: EntryID?
    /// How a base type's bits are read (`DW_ATE_*`), 0 for other types.
    package var encoding: UInt64
    /// Whether an array is a vector that fits into registers.
    package var isVector: Bool

    /// Whether it has a layout of its own that can change: members or enumerators.
    package var isComposite: Bool {
        switch kind {
        case .structure, .class, .union, .enumeration: true
        default: false
        }
    }
}

/// What a structure, union or class is made of (DWARF 5, sections 5.7.3 and 5.7.6).
package struct Member: Sendable, Equatable {
    /// Its name; for a base class that of the class; nil where it has none.
    package var name: String?
    /// Whether it is a base class.
    package var isBaseClass: Bool
    /// Its type.
    package var type: EntryID?
    /// Where it begins, in bits from the begin of the object; nil where that is computed at run time, as for a
    /// virtual base class.
    package var bitOffset: UInt64?
    /// Its size in bits if it is a bit-field, else nil.
    package var bitSize: UInt64?
}

/// A member of an enumeration (DWARF 5, section 5.7).
package struct Enumerator: Sendable, Equatable {
    /// Its name.
    package var name: String
    /// Its value.
    package var value: Int64
}

/// A virtual function of a class (DWARF 5, section 5.7.8).
package struct VirtualFunction: Sendable, Equatable {
    /// Its linkage name, or its name where there is none.
    package var name: String
    /// Its place in the virtual table, counted from 0; nil where the entry does not tell.
    package var slot: UInt64?
}

/// A variable that lives as long as the program: of a file, a namespace, or `static` in a function.
package struct StaticVariable: Sendable, Equatable {
    /// Its entry.
    package var id: EntryID
    /// Its name with those of what it is in.
    package var name: String
    /// Its type.
    package var type: EntryID?
}
