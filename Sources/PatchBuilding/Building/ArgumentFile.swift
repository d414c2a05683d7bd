//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A file of arguments, named as `@file` on the command line of GCC and binutils.
enum ArgumentFile {
    /// The arguments in a file: separated by white space, grouped by quotes, `\` in front of any character taken
    /// as it is (GCC manual, "Overall Options": `@file`).
    static func arguments(_ contents: [UInt8]) -> [String] {
        var result: [[UInt8]] = []
        var word: [UInt8]?
        var quote: UInt8?
        var isEscaped = false
        for byte in contents {
            if isEscaped {
                word = (word ?? []) + [byte]
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                word = word ?? []
                isEscaped = true
            } else if let open = quote {
                if byte == open { quote = nil } else { word = (word ?? []) + [byte] }
            } else if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") {
                word = word ?? []
                quote = byte
            } else if byte == 0x20 || (0x09...0x0d).contains(byte) {
                if let word { result.append(word) }
                word = nil
            } else {
                word = (word ?? []) + [byte]
            }
        }
        if let word { result.append(word) }
        return result.map { String(decoding: $0, as: UTF8.self) }
    }
}
