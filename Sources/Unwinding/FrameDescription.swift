//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A frame description entry (FDE): the rules of one function (DWARF 5, section 6.4.1; LSB Core, section
/// 10.6.1.2).
package struct FrameDescription: Sendable, Equatable {
    /// Offset of its length field in `.eh_frame`.
    package let offset: Int
    /// What it shares with others.
    package let common: CommonInformation
    /// First address, in the address space that the table was made for.
    package let start: UInt64
    /// Number of bytes covered.
    package let size: UInt64
    /// Offset in `.eh_frame` of the field that holds the first address.
    package let startFieldOffset: Int
    /// Offset in `.eh_frame` of the pointer to the language-specific data (LSDA), nil when there is none: C++
    /// and `cleanup` attributes have one. In a relocatable object the field is 0 until it is relocated.
    package let languageDataFieldOffset: Int?
    /// Where the instructions lie in `.eh_frame`.
    package let instructions: Range<Int>

    /// Whether the address lies inside.
    func covers(_ address: UInt64) -> Bool {
        address >= start && address - start < size
    }

    /// Reads the entry whose length field lies at `offset`.
    ///
    /// - Parameter common: looks up its CIE by offset.
    init(
        _ bytes: [UInt8], at offset: Int, sectionAddress: UInt64, dataAddress: UInt64?,
        common lookUp: (Int) throws(UnwindError) -> CommonInformation
    ) throws(UnwindError) {
        let entry = try EntryHeader(bytes, at: offset)
        let distance = Int(entry.identifier)
        guard distance != 0, distance <= entry.identifierOffset else {
            throw UnwindError(.malformed, "A function's rules refer to no CIE.", at: offset)
        }
        common = try lookUp(entry.identifierOffset - distance)
        let encoding = common.addressEncoding
        guard !encoding.isIndirect, encoding != .omitted else {
            throw UnwindError(.unsupportedEncoding, "A function's address is stored indirectly.", at: offset)
        }
        var cursor = try ByteCursor(bytes, entry.contents)
        startFieldOffset = cursor.position
        start = try encoding.pointer(&cursor, sectionAddress: sectionAddress, dataAddress: dataAddress)
        size = try encoding.rawValue(&cursor)
        // A signed encoding would make a negative size a huge one.
        guard size <= UInt64(Int64.max), !start.addingReportingOverflow(size).overflow else {
            throw UnwindError(.malformed, "A function's rules cover more than the address space.", at: offset)
        }
        var languageData: Int?
        if common.hasAugmentationData {
            let data = try cursor.block()
            if common.languageDataEncoding != .omitted {
                guard !data.isEmpty else {
                    throw UnwindError(.truncated, "A function's language-specific data are missing.", at: offset)
                }
                languageData = data.lowerBound
            }
        }
        languageDataFieldOffset = languageData
        instructions = cursor.position..<cursor.end
        self.offset = offset
    }
}
