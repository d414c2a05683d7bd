//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A source in C, each byte of it classified (C11, 5.1.1.2, phases 2 to 4).
///
/// White space is told from all other bytes as far as it has no meaning: within literals, behind the name in a
/// `#define`, and where a directive ends it has one.
struct ClassifiedSource: Sendable {
    /// What a byte is part of.
    enum Kind: Sendable {
        /// White space without meaning, or a backslash and line feed that continue a line.
        case blank
        /// A token outside of directives.
        case code
        /// A token of a directive, or the white space that ends the name in `#define NAME body`.
        case directive
        /// The line feed that ends a directive.
        case directiveEnd
        /// A string or character literal.
        case literal
        /// A comment, without its white space.
        case comment
    }

    /// The bytes.
    let text: [UInt8]
    /// What each of them is.
    let kinds: [Kind]

    /// Classifies a source.
    init(_ text: [UInt8]) {
        self.text = text
        var classifier = Classifier(text)
        classifier.run()
        kinds = classifier.kinds
    }

    /// Places of all bytes that are not blank.
    var significant: [Int] { kinds.indices.filter { kinds[$0] != .blank } }

    /// The bytes of a range that are not blank, with or without those of comments.
    func significantBytes(in range: Range<Int>, withComments: Bool) -> [UInt8] {
        range.filter { kinds[$0] != .blank && (withComments || kinds[$0] != .comment) }.map { text[$0] }
    }
}

/// The state machine behind `ClassifiedSource`.
private struct Classifier {
    let text: [UInt8]
    var kinds: [ClassifiedSource.Kind]
    private var index = 0
    private var isDirective = false
    private var isLineStart = true

    init(_ text: [UInt8]) {
        self.text = text
        kinds = Array(repeating: .blank, count: text.count)
    }

    private func byte(_ offset: Int) -> UInt8 { index + offset < text.count ? text[index + offset] : 0 }

    /// How many bytes here continue the line: a backslash and a line feed, which GCC also takes with blanks
    /// between them. 0 if none.
    private var splice: Int {
        guard byte(0) == UInt8(ascii: "\\") else { return 0 }
        var end = index + 1
        while end < text.count, [0x20, 0x09, 0x0d].contains(text[end]) { end += 1 }
        return end < text.count && text[end] == 0x0a ? end + 1 - index : 0
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }

    private static func isWord(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "_") || (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte)
            || (0x61...0x7a).contains(byte) || byte >= 0x80
    }

    private mutating func take(_ count: Int, as kind: ClassifiedSource.Kind) {
        for place in index..<min(index + count, text.count) { kinds[place] = kind }
        index += count
    }

    mutating func run() {
        while index < text.count {
            let first = byte(0)
            let tokens: ClassifiedSource.Kind = isDirective ? .directive : .code
            if splice > 0 {
                index += splice
            } else if first == 0x0a {
                if isDirective { kinds[index] = .directiveEnd }
                (isDirective, isLineStart) = (false, true)
                index += 1
            } else if Classifier.isBlank(first) {
                index += 1
            } else if first == UInt8(ascii: "/"), byte(1) == UInt8(ascii: "*") {
                blockComment()
            } else if first == UInt8(ascii: "/"), byte(1) == UInt8(ascii: "/") {
                lineComment()
            } else if first == UInt8(ascii: "#"), isLineStart {
                (isDirective, isLineStart) = (true, false)
                take(1, as: .directive)
                directiveName()
            } else if first == UInt8(ascii: "\"") || first == UInt8(ascii: "'") {
                isLineStart = false
                literal(first)
            } else {
                isLineStart = false
                take(1, as: tokens)
            }
        }
    }

    private mutating func word() -> String {
        let start = index
        while index < text.count, Classifier.isWord(text[index]) { take(1, as: .directive) }
        return String(decoding: text[start..<min(index, text.count)], as: UTF8.self)
    }

    /// What stands behind `#`. A macro with parameters has its parenthesis right behind its name, so the white
    /// space that another has there tells them apart.
    private mutating func directiveName() {
        while byte(0) == 0x20 || byte(0) == 0x09 { index += 1 }
        guard word() == "define" else { return }
        while byte(0) == 0x20 || byte(0) == 0x09 { index += 1 }
        guard !word().isEmpty, byte(0) == 0x20 || byte(0) == 0x09 else { return }
        // A blank before the end of the line or a comment has no meaning.
        var end = index
        while end < text.count, text[end] == 0x20 || text[end] == 0x09 { end += 1 }
        if end < text.count, text[end] == UInt8(ascii: "(") { take(1, as: .directive) }
    }

    private mutating func blockComment() {
        take(2, as: .comment)
        while index < text.count {
            if byte(0) == UInt8(ascii: "*"), byte(1) == UInt8(ascii: "/") { return take(2, as: .comment) }
            take(1, as: Classifier.isBlank(byte(0)) || splice > 0 ? .blank : .comment)
        }
    }

    private mutating func lineComment() {
        while index < text.count, byte(0) != 0x0a {
            if splice > 0 { index += splice } else { take(1, as: Classifier.isBlank(byte(0)) ? .blank : .comment) }
        }
    }

    /// A literal ends with its line, whether it was closed or not: an apostrophe in `#error` opens nothing.
    private mutating func literal(_ quote: UInt8) {
        take(1, as: .literal)
        while index < text.count, byte(0) != 0x0a {
            if splice > 0 {
                index += splice
            } else if byte(0) == UInt8(ascii: "\\"), byte(1) != 0x0a {
                take(2, as: .literal)
            } else {
                let isEnd = byte(0) == quote
                take(1, as: .literal)
                if isEnd { return }
            }
        }
    }
}
