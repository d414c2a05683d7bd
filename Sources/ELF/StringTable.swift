//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A string table (gABI, "String Table"): NUL-terminated strings, named by the offset of their first byte.
package struct StringTable: ~Escapable {
    /// The bytes of the table.
    package let bytes: RawSpan

    /// Views `bytes` as a string table.
    @_lifetime(copy bytes)
    package init(_ bytes: RawSpan) { self.bytes = bytes }

    /// The bytes of the string at `offset`, without its NUL. Offset 0 of an empty table is the empty string.
    ///
    /// - Throws: `ELFError` where `offset` lies outside the table, or no NUL follows.
    @_lifetime(copy self)
    package func bytes(at offset: UInt32) throws(ELFError) -> RawSpan {
        if offset == 0, bytes.byteCount == 0 { return bytes }
        guard offset < bytes.byteCount else {
            throw .outOfBounds(offset: UInt64(offset), count: 1, size: bytes.byteCount)
        }
        let first = Int(offset)
        var end = first
        while end < bytes.byteCount, bytes.uncheckedInteger(at: end, as: UInt8.self) != 0 { end &+= 1 }
        guard end < bytes.byteCount else {
            throw ELFError(.malformed, at: UInt64(offset), "a string of a string table has no end")
        }
        return bytes.extracting(first..<end)
    }

    /// The string at `offset`, for people (what is not UTF-8 is replaced).
    ///
    /// - Throws: `ELFError` as `bytes(at:)`.
    package func string(at offset: UInt32) throws(ELFError) -> String {
        try bytes(at: offset).text()
    }

    /// Whether the string at `offset` has exactly the bytes of `name` in UTF-8. Makes no string.
    ///
    /// - Throws: `ELFError` where `offset` lies outside the table.
    package func matches(_ name: String, at offset: UInt32) throws(ELFError) -> Bool {
        guard offset < bytes.byteCount else {
            if offset == 0 { return name.isEmpty }
            throw .outOfBounds(offset: UInt64(offset), count: 1, size: bytes.byteCount)
        }
        var position = Int(offset)
        for byte in name.utf8 {
            guard position < bytes.byteCount, byte == bytes.uncheckedInteger(at: position, as: UInt8.self) else {
                return false
            }
            position &+= 1
        }
        return position < bytes.byteCount && bytes.uncheckedInteger(at: position, as: UInt8.self) == 0
    }
}
