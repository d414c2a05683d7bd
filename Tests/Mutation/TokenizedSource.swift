//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A source in C as its tokens, as far as changing one of them needs it: comments, strings, characters and lines of
/// the preprocessor are no tokens.
package struct TokenizedSource: Sendable {
    /// What a token is.
    package enum Kind: Sendable { case identifier, decimal, operation }

    /// A token: which bytes of the text.
    package struct Token: Sendable {
        package var kind: Kind
        package var range: Range<Int>
    }

    /// The text.
    package let bytes: [UInt8]
    package private(set) var tokens: [Token] = []

    private static let operations = Set(
        ["==", "!=", "<=", ">=", "<<", ">>", "->", "&&", "||", "++", "--"].map { Array($0.utf8) })

    package init(_ text: String) {
        bytes = Array(text.utf8)
        var position = 0
        var isLineStart = true
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\n") {
                isLineStart = true
                position += 1
            } else if byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") {
                position += 1
            } else if byte == UInt8(ascii: "#"), isLineStart {
                skipDirective(&position)
            } else {
                isLineStart = false
                readToken(&position)
            }
        }
    }

    /// The text of a token.
    package func text(_ index: Int) -> String { String(decoding: bytes[tokens[index].range], as: UTF8.self) }

    /// Whether a token is an operator or a bracket of one character.
    package func isSymbol(_ index: Int, _ character: Unicode.Scalar) -> Bool {
        tokens[index].range.count == 1 && bytes[tokens[index].range.lowerBound] == UInt8(ascii: character)
    }

    /// The text with bytes replaced.
    package func replacing(_ range: Range<Int>, with new: String) -> String {
        String(decoding: bytes[..<range.lowerBound] + Array(new.utf8) + bytes[range.upperBound...], as: UTF8.self)
    }

    private mutating func readToken(_ position: inout Int) {
        let start = position
        let byte = bytes[position]
        if skipComment(&position) || skipQuoted(&position) { return }
        if Self.isLetter(byte) || Self.isDigit(byte) {
            while position < bytes.count, Self.isLetter(bytes[position]) || Self.isDigit(bytes[position]) {
                position += 1
            }
            let range = start..<position
            if Self.isLetter(byte) {
                tokens.append(Token(kind: .identifier, range: range))
            } else if bytes[range].allSatisfy(Self.isDigit), byte != UInt8(ascii: "0") || range.count == 1 {
                tokens.append(Token(kind: .decimal, range: range))
            }
            return
        }
        let pair = [UInt8](bytes[start..<min(start + 2, bytes.count)])
        position += Self.operations.contains(pair) ? 2 : 1
        tokens.append(Token(kind: .operation, range: start..<position))
    }

    private func skipDirective(_ position: inout Int) {
        while position < bytes.count, bytes[position] != UInt8(ascii: "\n") {
            // A line that ends in a backslash goes on.
            position += bytes[position] == UInt8(ascii: "\\") ? 2 : 1
        }
    }

    private func skipComment(_ position: inout Int) -> Bool {
        guard bytes[position] == UInt8(ascii: "/"), position + 1 < bytes.count else { return false }
        let isBlock = bytes[position + 1] == UInt8(ascii: "*")
        guard isBlock || bytes[position + 1] == UInt8(ascii: "/") else { return false }
        position += 2
        while position < bytes.count {
            if isBlock, bytes[position...].starts(with: Array("*/".utf8)) {
                position += 2
                return true
            }
            if !isBlock, bytes[position] == UInt8(ascii: "\n") { return true }
            position += 1
        }
        return true
    }

    private func skipQuoted(_ position: inout Int) -> Bool {
        let quote = bytes[position]
        guard quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else { return false }
        position += 1
        while position < bytes.count, bytes[position] != quote {
            position += bytes[position] == UInt8(ascii: "\\") ? 2 : 1
        }
        position += 1
        return true
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || byte == UInt8(ascii: "_")
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
}

extension TokenizedSource {
    /// A function that is defined at the outermost level.
    package struct Function: Sendable {
        package var name: String
        /// Its tokens from the opening to the closing brace.
        package var body: Range<Int>
    }

    /// The functions: a name, parentheses, and a block.
    package var functions: [Function] {
        var result: [Function] = []
        var depth = 0
        var start = 0
        var name: String?
        for index in tokens.indices {
            if isSymbol(index, "{") {
                if depth == 0 {
                    start = index
                    name = index > 0 && isSymbol(index - 1, ")") ? nameBefore(index - 1) : nil
                }
                depth += 1
            } else if isSymbol(index, "}") {
                depth -= 1
                if depth == 0, let name { result.append(Function(name: name, body: start..<(index + 1))) }
            }
        }
        return result
    }

    /// The name before the parentheses that end at a token.
    private func nameBefore(_ end: Int) -> String? {
        var depth = 0
        var index = end
        while index > 0 {
            if isSymbol(index, ")") { depth += 1 }
            if isSymbol(index, "(") { depth -= 1 }
            index -= 1
            if depth == 0 { return tokens[index].kind == .identifier ? text(index) : nil }
        }
        return nil
    }

    /// The token that closes what a token opens.
    package func closing(_ open: Int) -> Int? {
        var depth = 0
        for index in open..<tokens.count {
            if isSymbol(index, "(") { depth += 1 }
            if isSymbol(index, ")") {
                depth -= 1
                if depth == 0 { return index }
            }
        }
        return nil
    }
}
