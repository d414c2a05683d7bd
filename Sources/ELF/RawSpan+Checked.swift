//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Reading hostile bytes: every access is checked and throws; none traps. These are the only places of the
/// module that load without the library's own (trapping) check, always behind a check of their own.
extension RawSpan {
    /// The `count` bytes at `offset`.
    ///
    /// - Throws: `ELFError` (`outOfBounds`) where they do not lie in the span.
    @_lifetime(copy self)
    @inlinable
    package func slice(offset: UInt64, count: UInt64) throws(ELFError) -> RawSpan {
        let size = UInt64(byteCount)
        guard offset <= size, count <= size &- offset else {
            throw .outOfBounds(offset: offset, count: count, size: byteCount)
        }
        let first = Int(truncatingIfNeeded: offset)
        return extracting(first..<first &+ Int(truncatingIfNeeded: count))
    }

    /// The little-endian integer at `offset`, which need not be aligned.
    ///
    /// - Throws: `ELFError` (`outOfBounds`) where it does not lie in the span.
    @inlinable
    package func integer<T: FixedWidthInteger & BitwiseCopyable>(
        at offset: UInt64, as type: T.Type = T.self
    ) throws(ELFError) -> T {
        let size = UInt64(byteCount)
        let count = UInt64(MemoryLayout<T>.size)
        guard offset <= size, count <= size &- offset else {
            throw .outOfBounds(offset: offset, count: count, size: byteCount)
        }
        return uncheckedInteger(at: Int(truncatingIfNeeded: offset), as: type)
    }

    /// The little-endian integer at `offset`, of which the caller has proved that it lies in the span.
    @inlinable
    package func uncheckedInteger<T: FixedWidthInteger & BitwiseCopyable>(at offset: Int, as type: T.Type = T.self) -> T
    {
        T(littleEndian: unsafe unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: type))
    }

    /// Whether the bytes are exactly those of `other`.
    package func elementsEqual(_ other: RawSpan) -> Bool {
        guard byteCount == other.byteCount else { return false }
        for index in 0..<byteCount
        where uncheckedInteger(at: index, as: UInt8.self) != other.uncheckedInteger(at: index, as: UInt8.self) {
            return false
        }
        return true
    }

    /// A copy of the bytes.
    package func copied() -> [UInt8] {
        unsafe withUnsafeBytes { unsafe [UInt8]($0) }
    }

    /// The bytes as text. What is not UTF-8 becomes U+FFFD, so this is for people: compare bytes where a
    /// difference matters.
    package func text() -> String {
        unsafe withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
    }
}

extension [UInt8] {
    /// A view over the array's bytes.
    package var rawSpan: RawSpan {
        // `Span.bytes` counts as unsafe because an element may have padding; a byte has none.
        @_lifetime(borrow self)
        get { unsafe span.bytes }
    }
}
