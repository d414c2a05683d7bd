//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The functions that a source in C defines, with the lines that they take.
///
/// Told from tokens and braces alone: headers and macros are not looked into. Where the preprocessor chooses
/// between groups, the first counts for the nesting and all are searched.
package struct FunctionOutline: Sendable, Equatable {
    /// One function.
    package struct Function: Sendable, Equatable {
        /// Its name.
        package var name: String
        /// Its lines, from 0: from the first word of its declaration to the brace that ends it.
        package var lines: ClosedRange<Int>
    }

    /// The functions in the order in which they end.
    package let functions: [Function]

    /// Reads a source.
    package init(_ source: [UInt8]) {
        var reader = OutlineReader()
        for token in OutlineToken.tokens(ClassifiedSource(source)) { reader.read(token) }
        functions = reader.functions
    }

    /// Names of the functions that lines belong to, each once; none outside of all.
    ///
    /// - Parameter lines: lines from 0; an empty range is the place before its line.
    package func names(in lines: Range<Int>) -> [String] {
        var names: [String] = []
        for function in functions where !names.contains(function.name) {
            let body = function.lines
            let isIn =
                lines.isEmpty
                ? lines.lowerBound > body.lowerBound && lines.lowerBound <= body.upperBound
                : lines.lowerBound <= body.upperBound && lines.upperBound > body.lowerBound
            if isIn { names.append(function.name) }
        }
        return names
    }
}

extension SourceDiff {
    /// For each hunk the functions that it lies in, of the old text and of the new.
    package func functionsOfHunks() -> [[String]] {
        let outlines = (FunctionOutline(old.flatMap(\.self)), FunctionOutline(new.flatMap(\.self)))
        return hunks.map { hunk in
            var best: [String]?
            for place in places(of: hunk) {
                let before = outlines.0.names(in: place.old)
                let names = before + outlines.1.names(in: place.new).filter { !before.contains($0) }
                if names.count < best?.count ?? Int.max { best = names }
            }
            return best ?? []
        }
    }

    /// The places that give the same text: where lines were only put in, or only taken out, and equal ones stand
    /// beside them, diff(1) has a choice, and may name a brace of the function before.
    private func places(of hunk: Hunk) -> [Hunk] {
        guard hunk.old.isEmpty != hunk.new.isEmpty else { return [hunk] }
        let (lines, range) = hunk.old.isEmpty ? (new, hunk.new) : (old, hunk.old)
        func moved(_ distance: Int) -> Hunk {
            Hunk(
                old: (hunk.old.lowerBound + distance)..<(hunk.old.upperBound + distance),
                new: (hunk.new.lowerBound + distance)..<(hunk.new.upperBound + distance))
        }
        var places = [hunk]
        var distance = 0
        while hunk.old.lowerBound + distance > 0, hunk.new.lowerBound + distance > 0,
            lines[range.lowerBound + distance - 1].elementsEqual(lines[range.upperBound + distance - 1])
        {
            distance -= 1
            places.append(moved(distance))
        }
        distance = 0
        while hunk.old.upperBound + distance < old.count, hunk.new.upperBound + distance < new.count,
            lines[range.lowerBound + distance].elementsEqual(lines[range.upperBound + distance])
        {
            distance += 1
            places.append(moved(distance))
        }
        return places
    }

    /// The numbers of the hunks that a recipe chooses, from 1; empty for all.
    ///
    /// - Throws: `PreparationError` with `nothingToFix` for a function in which nothing differs.
    func hunks(_ choice: Recipe.Choice, of path: String) throws(PreparationError) -> [Int] {
        switch choice {
        case .all: return []
        case .hunks(let numbers): return numbers
        case .functions(let names):
            let functions = functionsOfHunks()
            if let name = names.first(where: { name in !functions.contains { $0.contains(name) } }) {
                throw PreparationError(.nothingToFix, "\(path) has no difference in a function '\(name)'")
            }
            return functions.indices.filter { !Set(functions[$0]).isDisjoint(with: names) }.map { $0 + 1 }
        }
    }
}

/// What is looked at of a source.
private struct OutlineToken {
    enum Kind: Equatable {
        case word(String)
        case mark(UInt8)
        case directive(String)
    }

    var kind: Kind
    /// Line, from 0.
    var line: Int

    static func tokens(_ source: ClassifiedSource) -> [OutlineToken] {
        var tokens: [OutlineToken] = []
        var line = 0
        var index = 0
        let text = source.text
        while index < text.count {
            let kind = source.kinds[index]
            if kind == .code || kind == .directive {
                let start = index
                let isDirective = kind == .directive
                if isDirective { index += 1 }
                while isDirective, index < text.count, source.kinds[index] == .blank, text[index] != 0x0a { index += 1 }
                let wordStart = index
                while index < text.count, source.kinds[index] == kind, isWord(text[index]) { index += 1 }
                let word = String(decoding: text[wordStart..<index], as: UTF8.self)
                if isDirective {
                    tokens.append(OutlineToken(kind: .directive(word), line: line))
                    // Lines that a directive is continued on, and those of comments in it, are counted below.
                    while index < text.count, source.kinds[index] != .directiveEnd {
                        if text[index] == 0x0a { line += 1 }
                        index += 1
                    }
                } else if index > start {
                    tokens.append(OutlineToken(kind: .word(word), line: line))
                } else {
                    tokens.append(OutlineToken(kind: .mark(text[index]), line: line))
                    index += 1
                }
                continue
            }
            if text[index] == 0x0a { line += 1 }
            index += 1
        }
        return tokens
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "_") || (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte)
            || (0x61...0x7a).contains(byte)
    }
}

/// Follows declarations at the top of a file.
private struct OutlineReader {
    var functions: [FunctionOutline.Function] = []

    private struct Nesting {
        var braces = 0
        var parentheses = 0
    }

    private var nesting = Nesting()
    /// Per conditional group that is open: the nesting where it began, and where its first part ended.
    private var groups: [(start: Nesting, end: Nesting?)] = []
    /// The function whose body is being read.
    private var open: (name: String, line: Int)?

    // Of the declaration that is being read, at the top:
    private var startLine: Int?
    private var lastWord: String?
    /// A word before parentheses, and the line where its part of the declaration begins.
    private var candidate: (name: String, line: Int)?
    /// The same within parentheses: for a function that returns a pointer to a function.
    private var inner: (name: String, line: Int)?
    private var isInitialised = false
    private var isTransparent = false

    /// Words before parentheses that name no function.
    private static let noNames: Set<String> = [
        "__attribute__", "__attribute", "__declspec", "__asm__", "asm", "__asm", "_Alignas", "__typeof__", "typeof",
        "void", "int", "char", "long", "short", "unsigned", "signed", "float", "double", "const", "struct", "static",
    ]

    mutating func read(_ token: OutlineToken) {
        switch token.kind {
        case .directive(let name): directive(name)
        case .word(let word):
            if nesting.braces == 0 {
                if startLine == nil { startLine = token.line }
                if ["extern", "namespace"].contains(word) { isTransparent = true }
            }
            lastWord = word
        case .mark(let mark):
            self.mark(mark, line: token.line)
            lastWord = nil
        }
    }

    private mutating func directive(_ name: String) {
        switch name {
        case "if", "ifdef", "ifndef":
            groups.append((nesting, nil))
        case "else", "elif":
            guard let last = groups.indices.last else { return }
            if groups[last].end == nil { groups[last].end = nesting }
            nesting = groups[last].start
        case "endif":
            if let end = groups.popLast()?.end { nesting = end }
        default:
            break
        }
    }

    private mutating func mark(_ mark: UInt8, line: Int) {
        if nesting.braces > 0 {
            if mark == UInt8(ascii: "{") { nesting.braces += 1 }
            if mark == UInt8(ascii: "}") { close(line) }
            return
        }
        if startLine == nil { startLine = line }
        switch mark {
        case UInt8(ascii: "("):
            if let word = lastWord, !OutlineReader.noNames.contains(word) {
                if nesting.parentheses == 0 {
                    candidate = (word, startLine ?? line)
                } else if inner == nil {
                    inner = (word, startLine ?? line)
                }
            }
            nesting.parentheses += 1
        case UInt8(ascii: ")"):
            nesting.parentheses = max(0, nesting.parentheses - 1)
            // What follows may be another declaration, behind a macro that stands without a semicolon.
            if nesting.parentheses == 0 { startLine = nil }
        case UInt8(ascii: "="):
            if nesting.parentheses == 0 { isInitialised = true }
        case UInt8(ascii: ";"):
            if nesting.parentheses == 0 { finishDeclaration() }
        case UInt8(ascii: "{"):
            if let found = candidate ?? inner, !isInitialised {
                // A second head of one body, in another group of the preprocessor, begins no other function.
                open = (found.name, open?.line ?? found.line)
                nesting.braces = 1
            } else if !isTransparent || isInitialised {
                nesting.braces = 1
            }
            finishDeclaration()
        case UInt8(ascii: "}"):
            finishDeclaration()
        default:
            break
        }
    }

    private mutating func close(_ line: Int) {
        nesting.braces -= 1
        guard nesting.braces == 0 else { return }
        if let open { functions.append(.init(name: open.name, lines: min(open.line, line)...line)) }
        open = nil
        finishDeclaration()
    }

    private mutating func finishDeclaration() {
        (startLine, candidate, inner) = (nil, nil, nil)
        (isInitialised, isTransparent) = (false, false)
    }
}
