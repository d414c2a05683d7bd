//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A C source as tokens: what is left of it without comments and white space.
enum SourceTokens {
    /// Words and single characters. A directive is one token with its name and ends with a line feed; `#line` is
    /// left out.
    static func tokens(_ source: [UInt8]) -> [String] {
        var result: [String] = []
        var index = 0
        var isLineStart = true
        var inDirective = false
        func byte(_ offset: Int) -> UInt8 { index + offset < source.count ? source[index + offset] : 0 }
        while index < source.count {
            let first = byte(0)
            if first == UInt8(ascii: "\\"), byte(1) == UInt8(ascii: "\n") {
                index += 2
            } else if first == UInt8(ascii: "\n") {
                if inDirective { result.append("\n") }
                (inDirective, isLineStart) = (false, true)
                index += 1
            } else if first == UInt8(ascii: "/"), byte(1) == UInt8(ascii: "*") {
                index += 2
                while index < source.count, !(byte(0) == UInt8(ascii: "*") && byte(1) == UInt8(ascii: "/")) {
                    index += 1
                }
                index += 2
            } else if first == UInt8(ascii: "/"), byte(1) == UInt8(ascii: "/") {
                while index < source.count, byte(0) != UInt8(ascii: "\n") { index += 1 }
            } else if first == UInt8(ascii: " ") || first == UInt8(ascii: "\t") || first == UInt8(ascii: "\r") {
                index += 1
            } else if first == UInt8(ascii: "#"), isLineStart {
                index += 1
                while byte(0) == UInt8(ascii: " ") || byte(0) == UInt8(ascii: "\t") { index += 1 }
                let start = index
                while isWord(byte(0)) { index += 1 }
                let name = String(decoding: source[start..<index], as: UTF8.self)
                if name == "line" {
                    while index < source.count, byte(0) != UInt8(ascii: "\n") { index += 1 }
                } else {
                    result.append("#" + name)
                    inDirective = true
                }
                isLineStart = false
            } else {
                isLineStart = false
                let start = index
                if first == UInt8(ascii: "\"") || first == UInt8(ascii: "'") {
                    index += 1
                    while index < source.count, byte(0) != first, byte(0) != UInt8(ascii: "\n") {
                        index += byte(0) == UInt8(ascii: "\\") ? 2 : 1
                    }
                    if byte(0) == first { index += 1 }
                    index = min(index, source.count)
                } else if isWord(first) {
                    while isWord(byte(0)) { index += 1 }
                } else {
                    index += 1
                }
                result.append(String(decoding: source[start..<index], as: UTF8.self))
            }
        }
        if inDirective { result.append("\n") }
        return result
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "_") || (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte)
            || (0x61...0x7a).contains(byte)
    }
}
