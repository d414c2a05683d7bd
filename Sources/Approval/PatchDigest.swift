//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The name of one patch file: SHA-256 (FIPS 180-4) over every byte of it before its last 32, which are the
/// digest itself.
package struct PatchDigest: Sendable, Hashable {
    /// The 32 bytes.
    package let bytes: [UInt8]

    /// Number of bytes.
    package static var size: Int { 32 }

    /// Makes a digest of its bytes, or nil where they are not 32.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.size else { return nil }
        self.bytes = bytes
    }

    /// Makes a digest of what `SHA256` computed.
    init(computed bytes: [UInt8]) { self.bytes = bytes }

    /// Makes a digest of 64 hexadecimal digits, or nil where they are not.
    package init?(hexadecimal: String) {
        var bytes: [UInt8] = []
        var high: UInt8?
        for byte in hexadecimal.utf8 {
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: return nil
            }
            if let first = high {
                bytes.append(first << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
        guard high == nil else { return nil }
        self.init(bytes)
    }

    /// The digest as 64 lower-case hexadecimal digits.
    package var hexadecimal: String {
        var text: [UInt8] = []
        for byte in bytes {
            for digit in [byte >> 4, byte & 15] {
                text.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
