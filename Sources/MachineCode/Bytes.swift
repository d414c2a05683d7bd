//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

extension [UInt8] {
    /// Appends a 32-bit value, least significant byte first.
    mutating func appendLittleEndian(_ value: Int32) {
        let bits = UInt32(bitPattern: value)
        for shift in [UInt32(0), 8, 16, 24] { append(UInt8(truncatingIfNeeded: bits >> shift)) }
    }

    /// The 32-bit value at `offset`, least significant byte first; nil when it does not lie inside.
    func littleEndianInt32(at offset: Int) -> Int32? {
        guard offset >= 0, count >= 4, offset <= count - 4 else { return nil }
        var bits: UInt32 = 0
        for index in 0..<4 { bits |= UInt32(self[offset + index]) << UInt32(8 * index) }
        return Int32(bitPattern: bits)
    }
}
