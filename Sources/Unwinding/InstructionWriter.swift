//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Writes call frame instructions for a code alignment factor of 1 (DWARF 5, section 7.24).
struct InstructionWriter {
    var bytes: [UInt8] = []
    private var location: UInt32 = 0

    /// - Throws: `malformed` when `offset` lies before the location.
    mutating func advance(to offset: UInt32) throws(UnwindError) {
        guard offset >= location else {
            throw UnwindError(.malformed, "Unwind rules are not in ascending order.", at: UInt64(offset))
        }
        let distance = offset - location
        location = offset
        switch distance {
        case 0: break
        case 1..<0x40: bytes.append(0x40 | UInt8(distance))
        case 0x40...0xFF: bytes += [0x02, UInt8(distance)]
        default:
            bytes.append(0x04)
            bytes.appendInteger(distance)
        }
    }

    /// `DW_CFA_def_cfa_offset`
    mutating func defineOffset(_ offset: UInt64) {
        bytes.append(0x0E)
        bytes.appendULEB128(offset)
    }
}

extension [UInt8] {
    mutating func appendInteger(_ value: UInt32) {
        for shift in [UInt32(0), 8, 16, 24] { append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    mutating func appendULEB128(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(rest))
    }

    mutating func appendSLEB128(_ value: Int64) {
        var rest = value
        while !(-0x40..<0x40).contains(rest) {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(truncatingIfNeeded: rest) & 0x7F)
    }

    /// Appends a length field and the contents, padded with `DW_CFA_nop` to a multiple of 8.
    mutating func appendEntry(_ contents: [UInt8]) {
        let padding = (8 - (contents.count + 4) % 8) % 8
        appendInteger(UInt32(truncatingIfNeeded: contents.count + padding))
        self += contents
        for _ in 0..<padding { append(0) }
    }
}
