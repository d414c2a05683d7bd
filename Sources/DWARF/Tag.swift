//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// What an entry describes (DWARF 5, section 7.5.3, table 7.3): those that types, variables and functions are
/// made of.
enum Tag: UInt16, Sendable {
    /// Every tag that is of no interest here.
    case other = 0
    case arrayType = 0x01
    case classType = 0x02
    case enumerationType = 0x04
    case formalParameter = 0x05
    case lexicalBlock = 0x0b
    case member = 0x0d
    case pointerType = 0x0f
    case referenceType = 0x10
    case compileUnit = 0x11
    case structureType = 0x13
    case subroutineType = 0x15
    case typedef = 0x16
    case unionType = 0x17
    case unspecifiedParameters = 0x18
    case inheritance = 0x1c
    case inlinedSubroutine = 0x1d
    case pointerToMemberType = 0x1f
    case subrangeType = 0x21
    case baseType = 0x24
    case constType = 0x26
    case enumerator = 0x28
    case subprogram = 0x2e
    case variable = 0x34
    case volatileType = 0x35
    case restrictType = 0x37
    case namespace = 0x39
    case unspecifiedType = 0x3b
    case partialUnit = 0x3c
    case typeUnit = 0x41
    case rvalueReferenceType = 0x42
    case templateAlias = 0x43
    case atomicType = 0x47
    case skeletonUnit = 0x4a
}

/// What an attribute says of an entry (DWARF 5, section 7.5.4, table 7.5): those that are kept.
enum Attribute: UInt16, Sendable {
    case location = 0x02
    case name = 0x03
    case byteSize = 0x0b
    /// Before DWARF 5: counted from the high end of the storage unit.
    case bitOffset = 0x0c
    case bitSize = 0x0d
    case lineProgram = 0x10
    case language = 0x13
    case compilationDirectory = 0x1b
    case constantValue = 0x1c
    case lowerBound = 0x22
    case upperBound = 0x2f
    case abstractOrigin = 0x31
    case artificial = 0x34
    case count = 0x37
    case memberLocation = 0x38
    case declarationFile = 0x3a
    case declarationLine = 0x3b
    case declaration = 0x3c
    case encoding = 0x3e
    case external = 0x3f
    case specification = 0x47
    case type = 0x49
    case virtuality = 0x4c
    case virtualTableSlot = 0x4d
    case dataBitOffset = 0x6b
    case signature = 0x69
    case linkageName = 0x6e
    case alignment = 0x88
    /// GNU's name before DWARF 4.
    case linkageNameMIPS = 0x2007
    /// GNU's mark of a vector register type.
    case vector = 0x2107
}
