//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Little-endian bytes, written one behind the other.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    mutating func append<T: FixedWidthInteger>(_ value: T) {
        for index in 0..<(T.bitWidth / 8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> (8 * index)))
        }
    }

    mutating func append(_ more: [UInt8]) { bytes.append(contentsOf: more) }

    mutating func pad(to count: Int) {
        while bytes.count < count { bytes.append(0) }
    }
}

/// Reads little-endian bytes that nobody vouches for: running out of them throws.
struct ByteReader {
    private let bytes: [UInt8]
    private(set) var offset: Int

    init(_ bytes: [UInt8], at offset: Int = 0) {
        self.bytes = bytes
        self.offset = offset
    }

    mutating func integer<T: FixedWidthInteger & UnsignedInteger>(_: T.Type) throws(PatchMemoryError) -> T {
        let size = T.bitWidth / 8
        guard offset >= 0, size <= bytes.count - offset else {
            throw PatchMemoryError(.truncated, "The header ends early.")
        }
        var value: T = 0
        for index in 0..<size {
            value |= T(bytes[offset + index]) << (8 * index)
        }
        offset += size
        return value
    }

    mutating func array(_ count: Int) throws(PatchMemoryError) -> [UInt8] {
        guard offset >= 0, count >= 0, count <= bytes.count - offset else {
            throw PatchMemoryError(.truncated, "The header ends early.")
        }
        defer { offset += count }
        return Array(bytes[offset..<(offset + count)])
    }
}

extension [UInt8] {
    /// Puts an integer's little-endian bytes at an offset that is known to fit.
    mutating func put<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        for index in 0..<(T.bitWidth / 8) {
            self[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index))
        }
    }

    /// The little-endian 64-bit word at an offset; nil if it does not fit.
    package func word(at offset: Int) -> UInt64? {
        guard offset >= 0, offset <= count - 8 else { return nil }
        var value: UInt64 = 0
        for index in 0..<8 { value |= UInt64(self[offset + index]) << (8 * index) }
        return value
    }
}
