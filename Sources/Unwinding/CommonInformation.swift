//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A common information entry (CIE): what several functions' rules share (DWARF 5, section 6.4.1; LSB Core,
/// section 10.6.1.1).
package struct CommonInformation: Sendable, Equatable {
    /// Offset of its length field in `.eh_frame`.
    package let offset: Int
    /// What advances are multiplied by.
    package let codeAlignment: UInt64
    /// What offsets are multiplied by.
    package let dataAlignment: Int64
    /// The column that stands for the return address: 16 on x86-64.
    package let returnAddressRegister: UInt64
    /// `S`: the frame was made by a signal; its instruction pointer is exact, not a return address.
    package let isSignalFrame: Bool
    /// `P`: a routine that exceptions call. Stored, not followed.
    package let hasPersonality: Bool
    /// Where the initial instructions lie in `.eh_frame`.
    package let instructions: Range<Int>
    let hasAugmentationData: Bool
    let addressEncoding: PointerEncoding
    let languageDataEncoding: PointerEncoding

    /// Reads the entry whose length field lies at `offset`.
    init(_ bytes: [UInt8], at offset: Int) throws(UnwindError) {
        let entry = try EntryHeader(bytes, at: offset)
        guard entry.identifier == 0 else {
            throw UnwindError(.malformed, "A function's rules refer to something that is no CIE.", at: offset)
        }
        var cursor = try ByteCursor(bytes, entry.contents)
        let version = try cursor.byte()
        guard version == 1 || version == 3 else {
            throw UnwindError(.malformed, "A CIE has an unknown version.", at: offset)
        }
        let augmentation = try Self.string(&cursor)
        // Without z the letters' data have no length: only the empty string is then understood.
        let hasData = augmentation.first == UInt8(ascii: "z")
        guard hasData || augmentation.isEmpty else {
            throw UnwindError(.unsupportedAugmentation, "A CIE's augmentation is not understood.", at: offset)
        }
        codeAlignment = try cursor.uleb128()
        dataAlignment = try cursor.sleb128()
        returnAddressRegister = version == 1 ? UInt64(try cursor.byte()) : try cursor.uleb128()
        var address = PointerEncoding(value: 0)
        var languageData = PointerEncoding.omitted
        var signal = false
        var personality = false
        if hasData {
            var data = try ByteCursor(bytes, try cursor.block())
            for letter in augmentation.dropFirst() {
                switch letter {
                case UInt8(ascii: "R"): address = PointerEncoding(value: try data.byte())
                case UInt8(ascii: "L"): languageData = PointerEncoding(value: try data.byte())
                case UInt8(ascii: "S"): signal = true
                case UInt8(ascii: "P"):
                    personality = true
                    _ = try PointerEncoding(value: try data.byte()).rawValue(&data)
                default:
                    throw UnwindError(.unsupportedAugmentation, "A CIE's augmentation is not understood.", at: offset)
                }
            }
        }
        hasAugmentationData = hasData
        addressEncoding = address
        languageDataEncoding = languageData
        isSignalFrame = signal
        hasPersonality = personality
        instructions = cursor.position..<cursor.end
        self.offset = offset
    }

    /// A string up to its zero byte; at most 16 letters.
    private static func string(_ cursor: inout ByteCursor) throws(UnwindError) -> [UInt8] {
        var string: [UInt8] = []
        while string.count <= 16 {
            let next = try cursor.byte()
            if next == 0 { return string }
            string.append(next)
        }
        throw UnwindError(.unsupportedAugmentation, "A CIE's augmentation is not understood.", at: cursor.position)
    }
}

/// The fields that CIE and FDE have in common.
struct EntryHeader {
    /// 0 for a CIE, else the distance from this field back to the CIE.
    let identifier: UInt32
    /// Offset of the identifier.
    let identifierOffset: Int
    /// What follows the identifier.
    let contents: Range<Int>

    /// Reads length and identifier.
    ///
    /// - Throws: `malformed` for the 64-bit format, which no tool chain emits for `.eh_frame`.
    init(_ bytes: [UInt8], at offset: Int) throws(UnwindError) {
        var cursor = try ByteCursor(bytes, offset..<max(bytes.count, offset))
        let length = try cursor.unsigned(4)
        guard length != 0xFFFF_FFFF else {
            throw UnwindError(.malformed, "An entry has the 64-bit format.", at: offset)
        }
        guard length >= 4, length <= UInt64(cursor.end - cursor.position) else {
            throw UnwindError(.truncated, "An entry ends outside of the section.", at: offset)
        }
        let end = cursor.position + Int(length)
        identifierOffset = cursor.position
        identifier = UInt32(truncatingIfNeeded: try cursor.unsigned(4))
        contents = cursor.position..<end
    }
}
