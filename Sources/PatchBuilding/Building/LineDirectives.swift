//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Makes the fixed source keep the line numbers of the original.
///
/// `__LINE__` goes into code (error reports, allocation records), so one line more would change every function
/// below it. After each hunk one `#line` directive gives the unchanged lines their old numbers again
/// (C11, 6.10.4). It must stand on a line of its own where a directive may stand: not inside a comment, a
/// string or a line that continues the one before; there it waits for the next place. In a group that the
/// preprocessor may skip it may be skipped too, so it is given again where such a group ends.
package enum LineDirectives {
    /// The old text with some of its hunks put in place.
    ///
    /// - Parameters:
    ///   - diff: old and new text.
    ///   - chosen: which hunks, counted from 1; empty for all.
    /// - Returns: the text to compile.
    /// - Throws: `PreparationError` with `nothingToFix` if a hunk is chosen that is not there.
    package static func fixed(_ diff: SourceDiff, chosen: [Int] = []) throws(PreparationError) -> [UInt8] {
        if let missing = chosen.first(where: { $0 < 1 || $0 > diff.hunks.count }) {
            throw PreparationError(
                .nothingToFix, "hunk \(missing) is chosen, but there are \(diff.hunks.count) of them")
        }
        var writer = Writer()
        var position = 0
        for (index, hunk) in diff.hunks.enumerated() where chosen.isEmpty || chosen.contains(index + 1) {
            for line in position..<hunk.old.lowerBound { writer.keep(diff.old[line], number: line + 1) }
            for line in hunk.new { writer.add(diff.new[line]) }
            position = hunk.old.upperBound
        }
        for line in position..<diff.old.count { writer.keep(diff.old[line], number: line + 1) }
        return writer.output
    }

    /// Writes lines and knows which number the compiler gives to the next one.
    struct Writer {
        var output: [UInt8] = []
        private var next = 1
        private var lexer = LineLexer()
        /// A directive was given where it may have been skipped.
        private var mayHaveBeenSkipped = false
        /// The group of the last such directive has ended.
        private var isDue = false
        /// The beginning of a line whose end has not come yet.
        private var beginning: ArraySlice<UInt8> = []

        /// A line of the old text, or the end of one, which shall have its old number.
        mutating func keep(_ line: ArraySlice<UInt8>, number: Int) {
            if next != number || isDue, lexer.isAtDirectivePlace {
                if let last = output.last, last != UInt8(ascii: "\n") { output.append(UInt8(ascii: "\n")) }
                output += Array("#line \(number)\n".utf8)
                next = number
                isDue = false
                mayHaveBeenSkipped = lexer.depth > 0
            }
            add(line)
        }

        /// A line of the new text, whatever its number.
        mutating func add(_ line: ArraySlice<UInt8>) {
            output += line
            guard line.last == UInt8(ascii: "\n") else {
                // The beginning of a line, or the end of the text: `endLine` tells which.
                beginning = line
                return
            }
            finish(line)
        }

        /// Ends a line of which only the beginning was kept.
        ///
        /// - Parameter isContinued: whether what follows belongs to the same directive.
        mutating func endLine(isContinued: Bool) {
            let end = Array((isContinued ? "\\\n" : "\n").utf8)
            output += end
            finish(ArraySlice(beginning + end))
            beginning = []
        }

        private mutating func finish(_ line: ArraySlice<UInt8>) {
            next += 1
            lexer.read(line)
            if lexer.endsGroup, mayHaveBeenSkipped || isDue { isDue = true }
        }
    }
}

/// Follows C source line by line, as far as needed to know where a directive may stand
/// (C11, 5.1.1.2: phases 2 and 3).
struct LineLexer {
    private enum State {
        case code
        case lineComment
        case blockComment
        case string(UInt8)
    }

    private var state = State.code
    private var continues = false

    /// How many conditional groups the next line is in.
    private(set) var depth = 0
    /// Whether the line that was read last ends a conditional group (`#else`, `#elif`, `#endif`).
    private(set) var endsGroup = false

    /// Whether the next line may be a directive.
    var isAtDirectivePlace: Bool {
        if continues { return false }
        if case .code = state { return true }
        return false
    }

    /// Goes on by one line, with the line feed that ends it.
    mutating func read(_ line: ArraySlice<UInt8>) {
        endsGroup = false
        if isAtDirectivePlace { readDirective(line) }
        var content = line
        if content.last == UInt8(ascii: "\n") { content.removeLast() }
        if content.last == UInt8(ascii: "\r") { content.removeLast() }
        continues = content.last == UInt8(ascii: "\\")
        if continues { content.removeLast() }
        var index = content.startIndex
        func byte(_ offset: Int) -> UInt8 {
            let place = index + offset
            return place < content.endIndex ? content[place] : 0
        }
        while index < content.endIndex {
            switch state {
            case .code:
                if byte(0) == UInt8(ascii: "/"), byte(1) == UInt8(ascii: "*") {
                    state = .blockComment
                    index += 1
                } else if byte(0) == UInt8(ascii: "/"), byte(1) == UInt8(ascii: "/") {
                    state = .lineComment
                } else if byte(0) == UInt8(ascii: "\"") || byte(0) == UInt8(ascii: "'") {
                    state = .string(byte(0))
                }
            case .lineComment:
                break
            case .blockComment:
                if byte(0) == UInt8(ascii: "*"), byte(1) == UInt8(ascii: "/") {
                    state = .code
                    index += 1
                }
            case .string(let end):
                if byte(0) == UInt8(ascii: "\\") { index += 1 } else if byte(0) == end { state = .code }
            }
            index += 1
        }
        guard !continues else { return }
        switch state {
        // A string ends with its line, whether it was closed or not: an apostrophe in `#error`, or in what
        // `#if 0` skips, opens nothing.
        case .lineComment, .string: state = .code
        case .code, .blockComment: break
        }
    }

    private mutating func readDirective(_ line: ArraySlice<UInt8>) {
        let isBlank: (UInt8) -> Bool = { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        let content = line.drop(while: isBlank)
        guard content.first == UInt8(ascii: "#") else { return }
        let name = content.dropFirst().drop(while: isBlank).prefix { (0x61...0x7a).contains($0) }
        switch String(decoding: name, as: UTF8.self) {
        case "if", "ifdef", "ifndef":
            depth += 1
        case "else", "elif", "elifdef", "elifndef":
            endsGroup = true
        case "endif":
            endsGroup = true
            depth -= 1
        default:
            break
        }
    }
}
