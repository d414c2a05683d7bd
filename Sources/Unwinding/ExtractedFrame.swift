//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// One function's unwind rules, taken out of its `.eh_frame` so that they can be written into another one.
///
/// Works on relocatable objects before relocation: the function's first address is not looked at, only where
/// the field lies whose `R_X86_64_PC32` relocation tells the function.
package struct ExtractedFrame: Sendable, Equatable {
    /// Offset of the FDE in its section.
    package let offset: Int
    /// Offset in the section of the field that holds the function's first address.
    package let startFieldOffset: Int
    /// Size of the function in bytes.
    package let size: UInt64
    /// What advances are multiplied by.
    package let codeAlignment: UInt64
    /// What offsets are multiplied by.
    package let dataAlignment: Int64
    /// Whether the frame is one that a signal makes.
    package let isSignalFrame: Bool
    /// Offset in the section of the pointer to the language-specific data, nil when there is none.
    package let languageDataFieldOffset: Int?
    /// Whether exceptions call a routine for frames of this function.
    package let hasPersonality: Bool
    /// The CIE's instructions, without the padding.
    package let commonInstructions: [UInt8]
    /// The function's own instructions, without the padding.
    package let instructions: [UInt8]

    /// Whether exceptions or cancellation run code of this function (landing pads): it then cannot be replaced
    /// without its language-specific data.
    package var hasLSDA: Bool { hasPersonality || languageDataFieldOffset != nil }

    /// Takes out the FDE whose length field lies at `offset`.
    ///
    /// - Parameters:
    ///   - section: the bytes of `.eh_frame`, of a relocatable object or of a linked one.
    ///   - offset: where the FDE starts.
    /// - Throws: when it is not understood, and `unsupportedInstruction` or `unsupportedOperation` when its
    ///   meaning depends on where it lies.
    package init(section: [UInt8], at offset: Int) throws(UnwindError) {
        let description = try FrameDescription(section, at: offset, sectionAddress: 0, dataAddress: nil) {
            (offset) throws(UnwindError) in try CommonInformation(section, at: offset)
        }
        try self.init(section: section, description: description)
    }

    init(section: [UInt8], description: FrameDescription) throws(UnwindError) {
        let common = description.common
        guard common.returnAddressRegister == 16 else {
            throw UnwindError(.malformed, "The return address column is not 16.", at: common.offset)
        }
        offset = description.offset
        startFieldOffset = description.startFieldOffset
        size = description.size
        codeAlignment = common.codeAlignment
        dataAlignment = common.dataAlignment
        isSignalFrame = common.isSignalFrame
        hasPersonality = common.hasPersonality
        languageDataFieldOffset = description.languageDataFieldOffset
        commonInstructions = try Self.checked(section, common.instructions, common: common, size: 0)
        instructions = try Self.checked(section, description.instructions, common: common, size: description.size)
    }

    /// All FDEs of a section, in the order in which they lie.
    ///
    /// - Throws: as `init(section:at:)`, for the first one that fails.
    package static func all(in section: [UInt8]) throws(UnwindError) -> [ExtractedFrame] {
        var frames: [ExtractedFrame] = []
        for offset in try offsets(in: section) { frames.append(try ExtractedFrame(section: section, at: offset)) }
        return frames
    }

    /// Offsets of all FDEs of a section, for those who want to know which one fails.
    ///
    /// - Throws: `truncated` or `malformed` when the chain of entries is broken.
    package static func offsets(in section: [UInt8]) throws(UnwindError) -> [Int] {
        var offsets: [Int] = []
        var offset = 0
        while section.count - offset >= 4 {
            if section[offset..<(offset + 4)].allSatisfy({ $0 == 0 }) { break }
            let entry = try EntryHeader(section, at: offset)
            if entry.identifier != 0 { offsets.append(offset) }
            offset = entry.contents.upperBound
        }
        return offsets
    }

    /// The instructions without trailing padding, when they can be copied as they are.
    private static func checked(
        _ section: [UInt8], _ range: Range<Int>, common: CommonInformation, size: UInt64
    ) throws(UnwindError) -> [UInt8] {
        var cursor = try ByteCursor(section, range)
        var end = range.lowerBound
        var location: UInt64 = 0
        while !cursor.isAtEnd {
            let offset = cursor.position
            let instruction = try CallFrameInstruction(&cursor, common: common)
            if instruction == .nop { continue }
            end = cursor.position
            switch instruction {
            case .advance(let distance):
                let (next, overflow) = location.addingReportingOverflow(distance)
                guard !overflow, next <= size else {
                    throw UnwindError(.malformed, "An advance leaves its function.", at: offset)
                }
                location = next
            case .setLocation:
                throw UnwindError(.unsupportedInstruction, "DW_CFA_set_loc cannot be moved.", at: offset)
            case .defineAddress(.expression(let expression)), .set(_, .expression(let expression)),
                .set(_, .valueExpression(let expression)):
                try checkExpression(section, expression.range)
            default: break
            }
        }
        return [UInt8](section[range.lowerBound..<end])
    }

    /// Refuses operations that hold an address (`DW_OP_addr`) or that are not understood.
    private static func checkExpression(_ section: [UInt8], _ range: Range<Int>) throws(UnwindError) {
        var cursor = try ByteCursor(section, range)
        while !cursor.isAtEnd {
            let offset = cursor.position
            let operation = try cursor.byte()
            switch operation {
            case 0x08, 0x09, 0x15, 0x94: try cursor.skip(1)
            case 0x0A, 0x0B, 0x28, 0x2F: try cursor.skip(2)
            case 0x0C, 0x0D: try cursor.skip(4)
            case 0x0E, 0x0F: try cursor.skip(8)
            case 0x10, 0x23: _ = try cursor.uleb128()
            case 0x11, 0x70...0x8F: _ = try cursor.sleb128()
            case 0x92:
                _ = try cursor.uleb128()
                _ = try cursor.sleb128()
            case 0x06, 0x12...0x14, 0x16, 0x17, 0x19...0x22, 0x24...0x27, 0x29...0x2E, 0x30...0x4F, 0x96: break
            default:
                throw UnwindError(.unsupportedOperation, "An operation of an expression cannot be moved.", at: offset)
            }
        }
    }
}

extension FrameTable {
    /// Takes a function's rules out of the table.
    ///
    /// - Throws: as `ExtractedFrame.init(section:at:)`.
    package func extracted(_ description: FrameDescription) throws(UnwindError) -> ExtractedFrame {
        try ExtractedFrame(section: bytes, description: description)
    }
}
