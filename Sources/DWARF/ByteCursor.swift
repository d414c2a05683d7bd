//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Reads little-endian numbers from a range of bytes, never outside of it.
struct ByteCursor {
    let bytes: [UInt8]
    private(set) var position: Int
    let end: Int

    /// - Throws: `truncated` where `range` does not lie in `bytes`.
    init(_ bytes: [UInt8], _ range: Range<Int>) throws(DWARFError) {
        guard range.lowerBound >= 0, range.upperBound <= bytes.count else {
            throw DWARFError(.truncated, at: max(0, range.lowerBound), "a range lies outside of its section")
        }
        self.bytes = bytes
        position = range.lowerBound
        end = range.upperBound
    }

    /// From an offset, which may come from the file, to the end of the bytes.
    ///
    /// - Throws: `truncated` where the offset does not lie in the bytes.
    init(_ bytes: [UInt8], from offset: UInt64) throws(DWARFError) {
        guard offset <= UInt64(bytes.count) else {
            throw DWARFError(.truncated, at: Int(clamping: offset), "an offset lies outside of its section")
        }
        try self.init(bytes, Int(offset)..<bytes.count)
    }

    var isAtEnd: Bool { position >= end }

    mutating func byte() throws(DWARFError) -> UInt8 {
        guard position < end else { throw truncated() }
        let value = bytes[position]
        position += 1
        return value
    }

    /// A number of `count` bytes, 1 to 8.
    mutating func unsigned(_ count: Int) throws(DWARFError) -> UInt64 {
        guard count >= 1, count <= 8, count <= end - position else { throw truncated() }
        var value: UInt64 = 0
        var index = position + count
        while index > position {
            index -= 1
            value = value &<< 8 | UInt64(bytes[index])
        }
        position += count
        return value
    }

    /// ULEB128 (DWARF 5, section 7.6); refuses what does not fit into 64 bits.
    mutating func uleb128() throws(DWARFError) -> UInt64 {
        // Nearly all are one byte.
        if position < end, bytes[position] < 0x80 {
            let value = bytes[position]
            position += 1
            return UInt64(value)
        }
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let next = try byte()
            let bits = UInt64(next & 0x7f)
            guard shift < 64, shift < 63 || bits <= 1 else {
                throw DWARFError(.malformed, at: position, "a ULEB128 number exceeds 64 bits")
            }
            value |= bits &<< shift
            if next & 0x80 == 0 { return value }
            shift += 7
        }
    }

    /// SLEB128 (DWARF 5, section 7.6); refuses encodings longer than 64 bits need.
    mutating func sleb128() throws(DWARFError) -> Int64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let next = try byte()
            guard shift < 64 else { throw DWARFError(.malformed, at: position, "an SLEB128 number exceeds 64 bits") }
            value |= UInt64(next & 0x7f) &<< shift
            shift += 7
            if next & 0x80 == 0 {
                if shift < 64, next & 0x40 != 0 { value |= UInt64.max &<< shift }
                return Int64(bitPattern: value)
            }
        }
    }

    /// Goes over bytes whose number may come from the file.
    mutating func skip(_ count: UInt64) throws(DWARFError) {
        guard count <= UInt64(end - position) else { throw truncated() }
        position += Int(count)
    }

    /// The range of a NUL-terminated string, without the NUL.
    mutating func string() throws(DWARFError) -> Range<Int> {
        let start = position
        while position < end {
            if bytes[position] == 0 {
                position += 1
                return start..<(position - 1)
            }
            position += 1
        }
        throw truncated()
    }

    /// A cursor over the next bytes, whose number may come from the file; this one goes behind them.
    mutating func part(_ count: UInt64) throws(DWARFError) -> ByteCursor {
        let start = position
        try skip(count)
        return try ByteCursor(bytes, start..<position)
    }

    private func truncated() -> DWARFError {
        DWARFError(.truncated, at: position, "debug information ends too early")
    }
}
