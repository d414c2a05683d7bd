//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// What entries of one kind have: a tag and attributes in their order (DWARF 5, section 7.5.3).
struct Abbreviation: Sendable {
    /// An attribute and how its value is written.
    struct Specification: Sendable {
        /// Nil for what is not kept.
        var attribute: Attribute?
        var form: Form
        /// The value itself, for `DW_FORM_implicit_const`.
        var implicit: Int64
    }

    var tag: Tag
    var hasChildren: Bool
    var specifications: [Specification]
}

/// The abbreviations of a unit, by their codes.
struct AbbreviationTable: Sendable {
    /// Compilers count codes from 1.
    private var dense: [Abbreviation] = []
    private var sparse: [UInt64: Abbreviation] = [:]

    /// Reads the table at an offset in `.debug_abbrev`.
    ///
    /// - Parameter work: how many attributes may still be read; lessened by those that are.
    /// - Throws: `DWARFError` where it ends too early, has an unknown form, or needs more work than is left.
    init(_ bytes: [UInt8], at offset: UInt64, work: inout Int) throws(DWARFError) {
        var cursor = try ByteCursor(bytes, from: offset)
        while true {
            let code = try cursor.uleb128()
            if code == 0 { return }
            let tag = Tag(rawValue: UInt16(clamping: try cursor.uleb128())) ?? .other
            let hasChildren = try cursor.byte() != 0
            var specifications: [Abbreviation.Specification] = []
            while true {
                work -= 1
                guard work > 0 else {
                    throw DWARFError(.limitExceeded, at: cursor.position, "abbreviations are read too often")
                }
                let attribute = try cursor.uleb128()
                let number = try cursor.uleb128()
                if attribute == 0, number == 0 { break }
                guard let form = Form(rawValue: UInt16(clamping: number)) else {
                    throw DWARFError(.unsupported, at: cursor.position, "form \(number) is not understood")
                }
                specifications.append(
                    Abbreviation.Specification(
                        attribute: Attribute(rawValue: UInt16(clamping: attribute)), form: form,
                        implicit: form == .implicitConstant ? try cursor.sleb128() : 0))
            }
            let abbreviation = Abbreviation(tag: tag, hasChildren: hasChildren, specifications: specifications)
            if code == UInt64(dense.count) + 1 { dense.append(abbreviation) } else { sparse[code] = abbreviation }
        }
    }

    /// The abbreviation with a code, which is not 0.
    ///
    /// - Throws: `DWARFError` (`malformed`) where there is none.
    func abbreviation(_ code: UInt64, at position: Int) throws(DWARFError) -> Abbreviation {
        if code <= UInt64(dense.count), code > 0 { return dense[Int(code) - 1] }
        guard let abbreviation = sparse[code] else {
            throw DWARFError(.malformed, at: position, "abbreviation \(code) is not in the unit's table")
        }
        return abbreviation
    }
}
