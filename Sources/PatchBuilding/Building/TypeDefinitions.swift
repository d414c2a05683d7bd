//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The types that a source defines itself, as text without comments and spaces, and the macros they can depend
/// on.
///
/// A process holds objects of the old layout, made by old code, when new code comes; so a fix that changes a
/// type is for a person to judge, in a source as in a header.
package struct TypeDefinitions: Sendable {
    /// Definitions of `struct`, `union`, `enum` with their members, and `typedef`s; as tokens.
    private var types: [[String]] = []
    /// What macros stand for, by name; several where one is defined more than once.
    private var macros: [String: [[String]]] = [:]

    /// Reads a source in C.
    package init(_ source: [UInt8]) {
        let tokens = Self.tokens(source)
        for index in tokens.indices {
            switch tokens[index] {
            case "struct", "union", "enum":
                var end = index + 1
                while end < tokens.count, Self.isWord(tokens[end]) {
                    end += 1
                    if tokens[end - 1] == "__attribute__" { end = Self.endOfParentheses(tokens, end) }
                }
                guard end < tokens.count, tokens[end] == "{" else { continue }
                types.append(Self.statement(tokens[index...]))
            case "typedef":
                types.append(Self.statement(tokens[index...]))
            case "#define" where index + 1 < tokens.count:
                let rest = tokens[(index + 2)...].prefix { $0 != "\n" }
                macros[tokens[index + 1], default: []].append(Array(rest))
            default:
                break
            }
        }
    }

    /// Whether a type of this source is gone or another one in `fixed`, by its own text or by that of a macro.
    package func differ(from fixed: TypeDefinitions) -> Bool {
        let left = Set(fixed.types)
        if types.contains(where: { !left.contains($0) }) { return true }
        var changed = Set(macros.filter { fixed.macros[$0.key] != $0.value }.keys)
        var count = -1
        while count != changed.count {
            count = changed.count
            for (name, bodies) in macros where bodies.contains(where: { !changed.isDisjoint(with: $0) }) {
                changed.insert(name)
            }
        }
        return types.contains { !changed.isDisjoint(with: $0) }
    }

    /// The tokens up to the semicolon behind all braces.
    private static func statement(_ tokens: ArraySlice<String>) -> [String] {
        var depth = 0
        var result: [String] = []
        for token in tokens {
            if token == "{" { depth += 1 }
            if token == "}" { depth -= 1 }
            // What is declared with the type is no part of it, but its attributes are.
            if depth <= 0, token == ";" || token == "=" { break }
            if token != "\n" { result.append(token) }
        }
        return result
    }

    /// The place behind what is in parentheses.
    private static func endOfParentheses(_ tokens: [String], _ start: Int) -> Int {
        var depth = 0
        for index in start..<tokens.count {
            if tokens[index] == "(" { depth += 1 }
            if tokens[index] == ")" { depth -= 1 }
            if depth == 0 { return index + 1 }
        }
        return tokens.count
    }

    private static func isWord(_ token: String) -> Bool {
        token.utf8.first.map(isWord) ?? false
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "_") || (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte)
            || (0x61...0x7a).contains(byte)
    }

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
}
