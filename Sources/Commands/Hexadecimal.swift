//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

extension [UInt8] {
    /// The bytes as lower-case hexadecimal digits: how build-ids and digests are written.
    package var hexadecimal: String {
        map { byte in
            let digits = String(byte, radix: 16)
            return digits.utf8.count == 1 ? "0" + digits : digits
        }.joined()
    }
}

extension UInt64 {
    /// The number as addresses are written.
    package var hexadecimal: String { "0x" + String(self, radix: 16) }
}
