//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

extension [UInt8] {
    /// Appends an integer in little-endian order.
    package mutating func append<T: FixedWidthInteger>(littleEndian value: T) {
        var rest = value
        for _ in 0..<MemoryLayout<T>.size {
            append(UInt8(truncatingIfNeeded: rest))
            rest >>= 8
        }
    }

    /// Appends zero bytes until the number of bytes is a multiple of `alignment`.
    package mutating func pad(to alignment: Int) {
        guard alignment > 1 else { return }
        while count % alignment != 0 { append(0) }
    }
}
