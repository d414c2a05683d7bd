//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A unified diff, taken apart by file.
///
/// The lines of a hunk are counted, as patch(1) does: what looks like a header within one is none.
struct UnifiedDiff: Sendable {
    /// What it says about one file.
    struct Part: Sendable, Equatable {
        /// Path behind the first part of the name (`-p1`); the old name's if the file is removed.
        var path: String
        /// The two header lines and the hunks.
        var text: [UInt8]
    }

    /// The parts, in order.
    let parts: [Part]

    /// Takes a diff apart; text between the parts is left out.
    init(_ text: [UInt8]) {
        var parts: [Part] = []
        var missing = (old: 0, new: 0)
        let lines = SourceDiff.lines(text)
        var index = 0
        while index < lines.count {
            let line = lines[index]
            if missing.old > 0 || missing.new > 0 {
                // GNU diff takes the blank from an empty line of context where it is told to.
                if line.first != UInt8(ascii: "+"), line.first != UInt8(ascii: "\\") { missing.old -= 1 }
                if line.first != UInt8(ascii: "-"), line.first != UInt8(ascii: "\\") { missing.new -= 1 }
                parts[parts.count - 1].text += line
            } else if line.starts(with: "--- ".utf8), index + 1 < lines.count,
                lines[index + 1].starts(with: "+++ ".utf8)
            {
                let new = UnifiedDiff.name(lines[index + 1])
                let path = new == "/dev/null" ? UnifiedDiff.name(line) : new
                parts.append(
                    Part(
                        path: path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
                            .joined(separator: "/"), text: Array(line + lines[index + 1])))
                index += 1
            } else if !parts.isEmpty, let counts = UnifiedDiff.counts(line) {
                missing = counts
                parts[parts.count - 1].text += line
            } else if !parts.isEmpty, line.first == UInt8(ascii: "\\") {
                // "No newline at end of file", behind the last line of a hunk.
                parts[parts.count - 1].text += line
            }
            index += 1
        }
        self.parts = parts
    }

    /// The name on a header line: up to a tab or a blank, as diff(1) ends it.
    private static func name(_ line: ArraySlice<UInt8>) -> String {
        String(
            decoding: line.dropFirst(4).prefix { $0 != 0x09 && $0 != 0x20 && $0 != 0x0a && $0 != 0x0d }, as: UTF8.self)
    }

    /// How many old and new lines a hunk has by its first line, `@@ -3,7 +3,9 @@`; nil if it is none.
    private static func counts(_ line: ArraySlice<UInt8>) -> (old: Int, new: Int)? {
        let words = String(decoding: line, as: UTF8.self).split(separator: " ")
        guard words.count >= 4, words[0] == "@@", words[1].first == "-", words[2].first == "+" else { return nil }
        func count(_ word: Substring) -> Int? {
            let numbers = word.dropFirst().split(separator: ",")
            guard let first = numbers.first, Int(first) != nil, numbers.count <= 2 else { return nil }
            guard numbers.count == 2 else { return 1 }
            return Int(numbers[1]).flatMap { $0 >= 0 ? $0 : nil }
        }
        guard let old = count(words[1]), let new = count(words[2]) else { return nil }
        return (old, new)
    }
}
