//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The header of a unit (DWARF 5, section 7.5.1; for DWARF 4 its section 7.5.1).
struct Unit: Sendable {
    /// Where the header begins in `DebugSections.info`.
    var start: Int
    /// Where the entries begin.
    var entriesStart: Int
    /// Behind the last byte.
    var end: Int
    /// 4 or 5.
    var version: UInt16
    /// 4 in the 32-bit format, 8 in the 64-bit one (section 7.4).
    var offsetSize: Int
    /// Bytes of an address, at most 8.
    var addressSize: Int
    /// Offset in `.debug_abbrev`.
    var abbreviations: UInt64
    /// The signature of a type unit, and where in `DebugSections.info` its type is described; nil in others.
    var type: (signature: UInt64, entry: Int)?
    /// Number of its first entry.
    var firstEntry = 0

    /// Reads the header that a cursor stands at and goes behind the unit.
    ///
    /// - Parameter isTypes: whether it lies in `.debug_types` of DWARF 4.
    /// - Throws: `DWARFError` where it ends too early or is of another version.
    init(_ cursor: inout ByteCursor, isTypes: Bool) throws(DWARFError) {
        start = cursor.position
        var length = try cursor.unsigned(4)
        offsetSize = 4
        if length == 0xffff_ffff {
            length = try cursor.unsigned(8)
            offsetSize = 8
        } else if length >= 0xffff_fff0 {
            throw DWARFError(.unsupported, at: start, "a unit length of a reserved value")
        }
        var unit = try cursor.part(length)
        end = cursor.position
        version = UInt16(truncatingIfNeeded: try unit.unsigned(2))
        var isTypeUnit = isTypes
        switch version {
        case 4:
            abbreviations = try unit.unsigned(offsetSize)
            addressSize = Int(try unit.byte())
        case 5:
            let kind = try unit.byte()
            addressSize = Int(try unit.byte())
            abbreviations = try unit.unsigned(offsetSize)
            switch kind {
            // DW_UT_compile and DW_UT_partial; DW_UT_skeleton and DW_UT_split_compile name another file (table 7.2).
            case 0x01, 0x03: break
            case 0x02: isTypeUnit = true
            case 0x04, 0x05, 0x06:
                throw DWARFError(
                    .unsupported, at: start, "the debug information is split (build with -gno-split-dwarf)")
            default: throw DWARFError(.unsupported, at: start, "a unit of kind \(kind) is not understood")
            }
        default: throw DWARFError(.unsupported, at: start, "DWARF version \(version) is not read, only 4 and 5")
        }
        guard addressSize >= 1, addressSize <= 8 else {
            throw DWARFError(.malformed, at: start, "addresses of \(addressSize) bytes")
        }
        if isTypeUnit {
            let signature = try unit.unsigned(8)
            let offset = try unit.unsigned(offsetSize)
            guard offset < UInt64(end - start) else {
                throw DWARFError(.malformed, at: start, "the type of a type unit lies outside of it")
            }
            type = (signature, start + Int(offset))
        }
        entriesStart = unit.position
    }
}
