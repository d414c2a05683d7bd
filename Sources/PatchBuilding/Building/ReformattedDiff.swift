//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Brings sources of one meaning to one form, so that what differs in two of them is not their formatting.
///
/// The style is fixed here and changes white space only: comments keep their lines, strings are not broken,
/// includes keep their order.
enum SourceFormatter {
    /// The formatter; another release may put line feeds elsewhere, which changes how hunks are counted.
    static let program = "clang-format-14"

    private static let style = [
        "BasedOnStyle": "LLVM", "Language": "Cpp", "ColumnLimit": "100", "IndentWidth": "4", "UseTab": "Never",
        "MaxEmptyLinesToKeep": "0", "KeepEmptyLinesAtTheStartOfBlocks": "false", "ReflowComments": "false",
        "SortIncludes": "Never", "IncludeBlocks": "Preserve", "SortUsingDeclarations": "false",
        "BreakStringLiterals": "false", "FixNamespaceComments": "false", "InsertTrailingCommas": "None",
        "AlignEscapedNewlines": "Left", "AlignTrailingComments": "false", "AlignAfterOpenBracket": "DontAlign",
        "AlignOperands": "DontAlign", "AlignArrayOfStructures": "None", "AllowShortFunctionsOnASingleLine": "None",
        "AllowShortIfStatementsOnASingleLine": "Never", "AllowShortLoopsOnASingleLine": "false",
        "AllowShortBlocksOnASingleLine": "Never", "AllowShortEnumsOnASingleLine": "false",
        "AllowShortCaseLabelsOnASingleLine": "false", "IndentPPDirectives": "None",
        "PenaltyReturnTypeOnItsOwnLine": "1000000", "DisableFormat": "false",
    ]

    /// The source in that form.
    ///
    /// - Throws: `PreparationError` with `missingBuildDependency`.
    static func formatted(_ source: [UInt8], scratch: String) async throws(PreparationError) -> [UInt8] {
        let directory = try Files.makeTemporary(in: scratch, "format")
        try Files.write(obeyed(source), to: directory + "/source.c")
        let style = style.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
        let output = try await Command(program, ["--style={\(style)}", directory + "/source.c"])
            .succeed(or: .missingBuildDependency, "formatting a source (package \(program))")
        try Files.remove(directory)
        return output
    }

    /// The source with its requests to leave parts as they are made illegible, by taking white space out of
    /// them: two sources have such requests at different places.
    private static func obeyed(_ source: [UInt8]) -> [UInt8] {
        source.replacing("clang-format off".utf8, with: "clang-formatoff".utf8)
            .replacing("clang-format on".utf8, with: "clang-formaton".utf8)
    }
}

/// The differences of two sources of which one was reformatted, and the old one with some of them put in place.
///
/// Both are brought to one form (`SourceFormatter`), in which diff(1) finds the hunks that people count. As that
/// changes white space only, a place in the form is a number of other bytes, and so it is a place in the old
/// source too: what is compiled is the old source as it was, with nothing but the hunks changed.
package struct ReformattedDiff: Sendable {
    /// Differences of the two in one form, without those of white space only.
    package let diff: SourceDiff

    /// The old source as it is.
    private let old: ClassifiedSource
    /// Places of what is not blank in it.
    private let places: [Int]
    /// For each line of the old one's form, and for its end, how many bytes that are not blank stand before it.
    private let counts: [Int]

    /// Compares two sources.
    ///
    /// - Parameters:
    ///   - old: the old source.
    ///   - new: the new source.
    ///   - scratch: a directory for files of the tools.
    /// - Throws: `PreparationError`: `notOnlyFormatting` if the form of a source differs from it in more than
    ///   white space, `missingBuildDependency`.
    package init(old: [UInt8], new: [UInt8], scratch: String) async throws(PreparationError) {
        let oldForm = try await ReformattedDiff.form(of: old, scratch: scratch)
        let newForm = try await ReformattedDiff.form(of: new, scratch: scratch)
        let diff = try await SourceDiff(old: oldForm.text, new: newForm.text, scratch: scratch)
        self.diff = diff.keeping { hunk in
            oldForm.significantBytes(in: diff.bytes(hunk.old, of: diff.old), withComments: true)
                != newForm.significantBytes(in: diff.bytes(hunk.new, of: diff.new), withComments: true)
        }
        self.old = ClassifiedSource(old)
        places = self.old.significant
        var counts = [0]
        for line in diff.old {
            counts.append((counts.last ?? 0) + line.indices.count { oldForm.kinds[$0] != .blank })
        }
        self.counts = counts
    }

    /// One form, checked against the source.
    private static func form(of source: [UInt8], scratch: String) async throws(PreparationError) -> ClassifiedSource {
        let form = ClassifiedSource(try await SourceFormatter.formatted(source, scratch: scratch))
        let original = ClassifiedSource(source)
        let left = original.significant
        let right = form.significant
        let same = zip(left, right).prefix { original.text[$0] == form.text[$1] }.count
        guard same == left.count, same == right.count else {
            let line = original.text[..<(same < left.count ? left[same] : source.count)].count { $0 == 0x0a } + 1
            throw PreparationError(
                .notOnlyFormatting,
                "\(SourceFormatter.program) changes more than white space at line \(line) of a source")
        }
        return form
    }

    /// The old source with some hunks put in place. Lines that are not touched keep their numbers.
    ///
    /// - Parameter chosen: which hunks, counted from 1; empty for all.
    /// - Returns: the text to compile.
    /// - Throws: `PreparationError` with `nothingToFix` if a hunk is chosen that is not there.
    package func fixed(chosen: [Int] = []) throws(PreparationError) -> [UInt8] {
        if let missing = chosen.first(where: { $0 < 1 || $0 > diff.hunks.count }) {
            throw PreparationError(
                .nothingToFix, "hunk \(missing) is chosen, but there are \(diff.hunks.count) of them")
        }
        var writer = LineDirectives.Writer()
        var position = 0
        var number = 1
        for (index, hunk) in diff.hunks.enumerated() where chosen.isEmpty || chosen.contains(index + 1) {
            let (start, end) = range(of: hunk)
            keep(position..<max(start, position), number: &number, in: &writer)
            if start > 0, start > position, old.text[start - 1] != 0x0a {
                // The hunk begins within a line: the line ends here, as it does in the form.
                writer.endLine(isContinued: ReformattedDiff.isContinued(diff.old[..<hunk.old.lowerBound].last))
            }
            for line in hunk.new { writer.add(diff.new[line]) }
            let next = max(end, start, position)
            number += old.text[max(start, position)..<next].count { $0 == 0x0a }
            position = next
        }
        keep(position..<old.text.count, number: &number, in: &writer)
        return writer.output
    }

    /// The bytes of the old source that a hunk stands for: from the line that begins before its first byte, or
    /// that byte itself, to the end of the line after its last.
    private func range(of hunk: SourceDiff.Hunk) -> (start: Int, end: Int) {
        let (first, last) = (counts[hunk.old.lowerBound], counts[hunk.old.upperBound])
        let before = gap(first)
        let lineStart = before.last { old.text[$0] == 0x0a }.map { $0 + 1 }
        let isAtLineStart = before.lowerBound == 0 || old.text[before.lowerBound - 1] == 0x0a
        let start = lineStart ?? before.lowerBound
        if first == last { return (start, lineStart != nil || isAtLineStart ? start : before.upperBound) }
        let after = gap(last)
        if after.lowerBound > 0, old.text[after.lowerBound - 1] == 0x0a { return (start, after.lowerBound) }
        return (start, after.first { old.text[$0] == 0x0a }.map { $0 + 1 } ?? after.upperBound)
    }

    /// The blanks before the byte with this number among those that are not blank.
    private func gap(_ count: Int) -> Range<Int> {
        let start = count == 0 ? 0 : places[count - 1] + 1
        return start..<(count < places.count ? places[count] : old.text.count)
    }

    private func keep(_ range: Range<Int>, number: inout Int, in writer: inout LineDirectives.Writer) {
        var start = range.lowerBound
        while start < range.upperBound {
            let end = old.text[start..<range.upperBound].firstIndex(of: 0x0a).map { $0 + 1 } ?? range.upperBound
            writer.keep(old.text[start..<end], number: number)
            if old.text[end - 1] == 0x0a { number += 1 }
            start = end
        }
    }

    private static func isContinued(_ line: ArraySlice<UInt8>?) -> Bool {
        line?.suffix(2).elementsEqual("\\\n".utf8) ?? false
    }
}

extension SourceDiff {
    /// The bytes that lines take in their text.
    fileprivate func bytes(_ range: Range<Int>, of lines: [ArraySlice<UInt8>]) -> Range<Int> {
        guard let first = lines[range].first, let last = lines[range].last else { return 0..<0 }
        return first.startIndex..<last.endIndex
    }
}
