//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// How an attribute's value is written (DWARF 5, section 7.5.6, table 7.6).
enum Form: UInt16, Sendable {
    case address = 0x01
    case block2 = 0x03
    case block4 = 0x04
    case data2 = 0x05
    case data4 = 0x06
    case data8 = 0x07
    case string = 0x08
    case block = 0x09
    case block1 = 0x0a
    case data1 = 0x0b
    case flag = 0x0c
    case signedData = 0x0d
    case stringOffset = 0x0e
    case unsignedData = 0x0f
    case referenceAddress = 0x10
    case reference1 = 0x11
    case reference2 = 0x12
    case reference4 = 0x13
    case reference8 = 0x14
    case referenceUnsigned = 0x15
    case indirect = 0x16
    case sectionOffset = 0x17
    case expression = 0x18
    case flagPresent = 0x19
    case stringIndex = 0x1a
    case addressIndex = 0x1b
    case supplementaryReference4 = 0x1c
    case supplementaryString = 0x1d
    case data16 = 0x1e
    case lineStringOffset = 0x1f
    case referenceSignature = 0x20
    case implicitConstant = 0x21
    case locationListIndex = 0x22
    case rangeListIndex = 0x23
    case supplementaryReference8 = 0x24
    case stringIndex1 = 0x25
    case stringIndex2 = 0x26
    case stringIndex3 = 0x27
    case stringIndex4 = 0x28
    case addressIndex1 = 0x29
    case addressIndex2 = 0x2a
    case addressIndex3 = 0x2b
    case addressIndex4 = 0x2c
    /// GNU's, for what `dwz` moves to another file.
    case alternateReference = 0x1f20
    /// GNU's, for what `dwz` moves to another file.
    case alternateString = 0x1f21
}

/// A value, by what it means rather than by how it was written.
struct FormValue: Sendable, Equatable {
    /// What `number` is.
    enum Kind: UInt8, Sendable {
        /// A number without sign.
        case constant
        /// A number with sign, as its bit pattern.
        case signedConstant
        /// An offset in the unit's section, from the section's begin.
        case reference
        /// The signature of a type unit.
        case signature
        /// An offset in `.debug_info`: a string there.
        case inlineString
        /// An offset in `.debug_str`.
        case string
        /// An offset in `.debug_line_str`.
        case lineString
        /// An offset in `.debug_info`: bytes or an expression there.
        case block
        /// A flag.
        case flag
        /// An address or an offset in another section.
        case offset
        /// What is in another file, or found by an index that is not looked up here.
        case elsewhere
    }

    var kind: Kind
    var number: UInt64
    /// Bytes of a block.
    var length: Int = 0
}

extension ByteCursor {
    /// Reads a value of a form.
    ///
    /// - Parameter implicit: the value that stands in the abbreviation.
    /// - Throws: `DWARFError` where it ends too early or cannot be read.
    mutating func value(
        _ form: Form, implicit: Int64, unit: Unit
    ) throws(DWARFError) -> FormValue {
        switch form {
        case .data1: return FormValue(kind: .constant, number: UInt64(try byte()))
        case .reference4: return try reference(try unsigned(4), unit)
        case .stringOffset: return FormValue(kind: .string, number: try unsigned(unit.offsetSize))
        case .implicitConstant: return FormValue(kind: .signedConstant, number: UInt64(bitPattern: implicit))
        case .flagPresent: return FormValue(kind: .flag, number: 1)
        case .data2: return FormValue(kind: .constant, number: try unsigned(2))
        case .data4: return FormValue(kind: .constant, number: try unsigned(4))
        case .data8: return FormValue(kind: .constant, number: try unsigned(8))
        case .unsignedData: return FormValue(kind: .constant, number: try uleb128())
        case .signedData: return FormValue(kind: .signedConstant, number: UInt64(bitPattern: try sleb128()))
        case .flag: return FormValue(kind: .flag, number: UInt64(try byte()))
        case .string:
            let start = position
            _ = try string()
            return FormValue(kind: .inlineString, number: UInt64(start))
        case .lineStringOffset: return FormValue(kind: .lineString, number: try unsigned(unit.offsetSize))
        case .expression, .block: return try block(try uleb128())
        case .block1: return try block(try unsigned(1))
        case .block2: return try block(try unsigned(2))
        case .block4: return try block(try unsigned(4))
        case .reference1: return try reference(try unsigned(1), unit)
        case .reference2: return try reference(try unsigned(2), unit)
        case .reference8: return try reference(try unsigned(8), unit)
        case .referenceUnsigned: return try reference(try uleb128(), unit)
        case .referenceAddress:
            // DWARF 2 wrote it as an address.
            return FormValue(kind: .reference, number: try unsigned(unit.offsetSize))
        case .referenceSignature: return FormValue(kind: .signature, number: try unsigned(8))
        case .sectionOffset: return FormValue(kind: .offset, number: try unsigned(unit.offsetSize))
        case .address: return FormValue(kind: .offset, number: try unsigned(unit.addressSize))
        case .data16: return try block(16)
        case .stringIndex, .addressIndex, .locationListIndex, .rangeListIndex:
            return FormValue(kind: .elsewhere, number: try uleb128())
        case .stringIndex1, .addressIndex1: return FormValue(kind: .elsewhere, number: try unsigned(1))
        case .stringIndex2, .addressIndex2: return FormValue(kind: .elsewhere, number: try unsigned(2))
        case .stringIndex3, .addressIndex3: return FormValue(kind: .elsewhere, number: try unsigned(3))
        case .stringIndex4, .addressIndex4, .supplementaryReference4:
            return FormValue(kind: .elsewhere, number: try unsigned(4))
        case .supplementaryReference8: return FormValue(kind: .elsewhere, number: try unsigned(8))
        case .supplementaryString, .alternateReference, .alternateString:
            return FormValue(kind: .elsewhere, number: try unsigned(unit.offsetSize))
        case .indirect: return try indirect(unit)
        }
    }

    /// The form stands before the value (section 7.5.3). It may not be indirect again: nothing bounds that.
    private mutating func indirect(_ unit: Unit) throws(DWARFError) -> FormValue {
        let number = try uleb128()
        guard let form = Form(rawValue: UInt16(clamping: number)), form != .indirect, form != .implicitConstant else {
            throw DWARFError(.unsupported, at: position, "an indirect form \(number) is not understood")
        }
        return try value(form, implicit: 0, unit: unit)
    }

    private mutating func block(_ count: UInt64) throws(DWARFError) -> FormValue {
        let start = position
        try skip(count)
        return FormValue(kind: .block, number: UInt64(start), length: position - start)
    }

    /// References within a unit count from its header (section 7.5.5).
    private func reference(_ offset: UInt64, _ unit: Unit) throws(DWARFError) -> FormValue {
        guard offset < UInt64(unit.end - unit.start) else {
            throw DWARFError(.malformed, at: position, "a reference leads out of its unit")
        }
        return FormValue(kind: .reference, number: UInt64(unit.start) + offset)
    }
}
