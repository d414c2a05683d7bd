//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Reads little-endian numbers from a range of bytes, never outside of it.
struct ByteCursor {
    let bytes: [UInt8]
    private(set) var position: Int
    let end: Int

    /// - Throws: `truncated` when `range` does not lie inside of `bytes`.
    init(_ bytes: [UInt8], _ range: Range<Int>) throws(UnwindError) {
        guard range.lowerBound >= 0, range.upperBound <= bytes.count else {
            throw UnwindError(.truncated, "A range lies outside of the section.", at: max(range.lowerBound, 0))
        }
        self.bytes = bytes
        position = range.lowerBound
        end = range.upperBound
    }

    var isAtEnd: Bool { position >= end }

    mutating func byte() throws(UnwindError) -> UInt8 {
        guard position < end else { throw truncated() }
        defer { position += 1 }
        return bytes[position]
    }

    /// A number of `count` bytes, 1 to 8.
    mutating func unsigned(_ count: Int) throws(UnwindError) -> UInt64 {
        guard (1...8).contains(count), count <= end - position else { throw truncated() }
        var value: UInt64 = 0
        for index in 0..<count { value |= UInt64(bytes[position + index]) << UInt64(8 * index) }
        position += count
        return value
    }

    /// A signed number of `count` bytes, 1 to 8.
    mutating func signed(_ count: Int) throws(UnwindError) -> Int64 {
        let shift = Int64(64 - 8 * count)
        return (Int64(bitPattern: try unsigned(count)) << shift) >> shift
    }

    /// ULEB128 (DWARF 5, section 7.6); refuses what does not fit in 64 bits.
    mutating func uleb128() throws(UnwindError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let next = try byte()
            let bits = UInt64(next & 0x7F)
            if shift >= 64 || (shift == 63 && bits > 1) {
                if bits != 0 { throw UnwindError(.malformed, "A ULEB128 number exceeds 64 bits.", at: position) }
            } else {
                value |= bits << shift
            }
            if next & 0x80 == 0 { return value }
            shift = min(shift + 7, 70)
        }
    }

    /// SLEB128 (DWARF 5, section 7.6); refuses encodings longer than 64 bits need.
    mutating func sleb128() throws(UnwindError) -> Int64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let next = try byte()
            guard shift < 64 else { throw UnwindError(.malformed, "An SLEB128 number exceeds 64 bits.", at: position) }
            value |= UInt64(next & 0x7F) << shift
            shift += 7
            if next & 0x80 == 0 {
                if shift < 64, next & 0x40 != 0 { value |= ~UInt64(0) << shift }
                return Int64(bitPattern: value)
            }
        }
    }

    /// A ULEB128 that counts bytes which follow.
    mutating func block() throws(UnwindError) -> Range<Int> {
        let count = try uleb128()
        guard count <= UInt64(end - position) else { throw truncated() }
        let range = position..<(position + Int(count))
        position = range.upperBound
        return range
    }

    mutating func skip(_ count: Int) throws(UnwindError) {
        guard count >= 0, count <= end - position else { throw truncated() }
        position += count
    }

    /// Goes to an absolute position inside the range.
    mutating func move(to target: Int, from start: Int) throws(UnwindError) {
        guard target >= start, target <= end else { throw truncated() }
        position = target
    }

    private func truncated() -> UnwindError {
        UnwindError(.truncated, "The unwind information ends too early.", at: position)
    }
}
