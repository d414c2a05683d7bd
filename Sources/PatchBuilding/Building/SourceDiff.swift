//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The differences of two texts, line by line.
package struct SourceDiff: Sendable, Equatable {
    /// One place where they differ: lines of the old text, lines of the new in their stead. Either can be empty.
    package struct Hunk: Sendable, Equatable {
        /// Indices of lines of the old text, from 0.
        package var old: Range<Int>
        /// Indices of lines of the new text, from 0.
        package var new: Range<Int>

        /// Makes it of its parts.
        package init(old: Range<Int>, new: Range<Int>) {
            self.old = old
            self.new = new
        }
    }

    /// The lines of the old text, each with the line feed that ends it.
    package let old: [ArraySlice<UInt8>]
    /// The lines of the new text.
    package let new: [ArraySlice<UInt8>]
    /// Where they differ, in order.
    package let hunks: [Hunk]

    /// Compares two texts with diff(1), so that hunks are those that everybody sees and counts.
    ///
    /// - Parameters:
    ///   - old: the old text.
    ///   - new: the new text.
    ///   - scratch: a directory for the files that diff(1) reads.
    /// - Throws: `PreparationError` with `systemFailed`.
    package init(old: [UInt8], new: [UInt8], scratch: String) async throws(PreparationError) {
        let directory = try Files.makeTemporary(in: scratch, "diff")
        try Files.write(old, to: directory + "/old")
        try Files.write(new, to: directory + "/new")
        let result = try await Command("diff", ["-a", "old", "new"], in: directory).result()
        guard result.status == 0 || result.status == 1 else {
            throw PreparationError(.systemFailed, "comparing two sources failed", details: result.errors)
        }
        try Files.remove(directory)
        try self.init(old: old, new: new, listing: result.output)
    }

    /// Reads the listing of diff(1) in its normal form: `12,14c12,15`, `3a4`, `7d6`.
    ///
    /// - Throws: `PreparationError` with `systemFailed` for a listing that is not one of these texts.
    package init(old: [UInt8], new: [UInt8], listing: [UInt8]) throws(PreparationError) {
        self.old = SourceDiff.lines(old)
        self.new = SourceDiff.lines(new)
        var hunks: [Hunk] = []
        for line in listing.split(separator: UInt8(ascii: "\n")) {
            guard let first = line.first, (0x30...0x39).contains(first) else { continue }
            let text = String(decoding: line, as: UTF8.self)
            guard let letter = text.firstIndex(where: { "acd".contains($0) }),
                let old = SourceDiff.range(text[..<letter], isEmpty: text[letter] == "a"),
                let new = SourceDiff.range(text[text.index(after: letter)...], isEmpty: text[letter] == "d"),
                old.upperBound <= self.old.count, new.upperBound <= self.new.count,
                old.lowerBound >= hunks.last?.old.upperBound ?? 0
            else { throw PreparationError(.systemFailed, "diff said '\(text)', which is not understood") }
            hunks.append(Hunk(old: old, new: new))
        }
        self.hunks = hunks
    }

    /// The same texts with some of their differences only.
    func keeping(_ isKept: (Hunk) -> Bool) -> SourceDiff {
        SourceDiff(old: old, new: new, hunks: hunks.filter(isKept))
    }

    private init(old: [ArraySlice<UInt8>], new: [ArraySlice<UInt8>], hunks: [Hunk]) {
        self.old = old
        self.new = new
        self.hunks = hunks
    }

    /// The old text with some of the hunks put in place, all others left as they were.
    ///
    /// - Parameter chosen: which hunks, counted from 1; empty for all.
    func text(choosing chosen: [Int]) -> [UInt8] {
        var output: [UInt8] = []
        var position = 0
        for (index, hunk) in hunks.enumerated() where chosen.isEmpty || chosen.contains(index + 1) {
            for line in old[position..<hunk.old.lowerBound] { output += line }
            for line in new[hunk.new] { output += line }
            position = hunk.old.upperBound
        }
        for line in old[position...] { output += line }
        return output
    }

    /// `3,5` is lines 2..<5; where nothing is meant, `3` is the place after line 3.
    private static func range(_ text: Substring, isEmpty: Bool) -> Range<Int>? {
        let numbers = text.split(separator: ",").map { Int($0) ?? -1 }
        guard let first = numbers.first, let last = numbers.last, first >= 0, last >= first else { return nil }
        if isEmpty { return first..<first }
        return first > 0 ? (first - 1)..<last : nil
    }

    /// A text in lines, each with the line feed that ends it.
    static func lines(_ text: [UInt8]) -> [ArraySlice<UInt8>] {
        var lines: [ArraySlice<UInt8>] = []
        var start = 0
        for index in text.indices where text[index] == UInt8(ascii: "\n") {
            lines.append(text[start...index])
            start = index + 1
        }
        if start < text.count { lines.append(text[start...]) }
        return lines
    }
}
