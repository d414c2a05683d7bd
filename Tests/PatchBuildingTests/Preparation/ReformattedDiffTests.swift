//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import PatchBuilding
import Testing

/// A fix out of a source that was reformatted, put into the one that was not.
@Suite("Reformatted sources") struct ReformattedDiffTests {
    /// A piece of C: tokens that may stand on any line, or a directive with its lines.
    private enum Piece: Equatable {
        case tokens([String])
        case directive([String])
        case comment(String)
    }

    private static func text(_ pieces: [Piece], _ random: inout SeededNumbers) -> String {
        var text = ""
        for piece in pieces {
            switch piece {
            case .tokens(let tokens):
                for (index, token) in tokens.enumerated() {
                    text += token
                    guard index + 1 < tokens.count else { continue }
                    // Nothing between two only where one of them is a mark that nothing melts with.
                    let isLoose = [token, tokens[index + 1]].contains { ["(", ")", "{", "}", ";", ","].contains($0) }
                    let blanks = [" ", "  ", "\t", "\n", "\n    ", " \\\n "] + (isLoose ? ["", ""] : [])
                    text += blanks.randomElement(using: &random) ?? " "
                }
                text += ["\n", "\n\n\n", " "].randomElement(using: &random) ?? "\n"
            case .directive(let parts):
                if text.last != "\n", !text.isEmpty { text += "\n" }
                let joints = [" ", " \\\n", "  \\\n    ", "\t\\\n"]
                for (index, part) in parts.enumerated() {
                    text += (index == 0 ? "" : joints.randomElement(using: &random) ?? " ") + part
                }
                text += "\n"
            case .comment(let words):
                text += "/* " + words + (["\n   ", " "].randomElement(using: &random) ?? " ") + "*/"
                text += ["\n", " "].randomElement(using: &random) ?? "\n"
            }
        }
        return text + "\n"
    }

    private static func function(_ number: Int, _ random: inout SeededNumbers) -> [Piece] {
        var pieces: [Piece] = [.tokens(["int", "f\(number)", "(", "int", "a", ",", "int", "b", ")", "{"])]
        for statement in 0..<Int.random(in: 3...9, using: &random) {
            let name = "v\(number)_\(statement)"
            switch Int.random(in: 0..<7, using: &random) {
            case 0: pieces.append(.comment("it's one \" of \(name)"))
            case 1:
                pieces.append(.directive(["#define M\(name)(x)", "(x + 1)", "* \(statement + 2)", "+ a"]))
            case 2:
                pieces.append(.directive(["#if B\(statement % 2)"]))
                pieces.append(.tokens(["a", "+=", "\(statement)", ";"]))
                pieces.append(.directive(["#endif"]))
            case 3:
                pieces.append(.tokens(["use", "(", "\" two  blanks /* \\\" \"", ",", "'\"'", ",", "b", ")", ";"]))
            default: pieces.append(.tokens(["int", name, "=", "__LINE__", ";"]))
            }
        }
        return pieces + [.tokens(["return", "a", "-", "-", "b", ";", "}"])]
    }

    /// Some pieces taken out, put in or changed.
    private static func edited(_ pieces: [Piece], _ random: inout SeededNumbers) -> [Piece] {
        var result: [Piece] = []
        for piece in pieces {
            switch (piece, Int.random(in: 0..<12, using: &random)) {
            case (.tokens(let tokens), 0) where tokens.first == "int" && tokens.contains("__LINE__"): continue
            case (.tokens(let tokens), 1) where tokens.last == ";":
                result += [piece, .tokens(["if", "(", "a", ">", "b", ")", "{", "b", "=", "7", ";", "}"])]
            case (.directive(let parts), 2...5) where parts.count > 2:
                result.append(.directive([parts[0]] + ["3 *"] + parts.dropFirst()))
            case (.tokens(let tokens), 6) where tokens.first == "use":
                result.append(.tokens(tokens.map { $0.replacing("two  blanks", with: "two blanks") }))
            default: result.append(piece)
            }
        }
        return result
    }

    /// What the compiler sees, lines and white space aside.
    private func tokens(_ text: [UInt8], _ directory: String) async throws -> String {
        let path = directory + "/\(UUID().uuidString).c"
        try Data(text).write(to: URL(filePath: path))
        return try await shell("gcc -E -P -w -DB0 -D__LINE__=0 \(path)").filter { !$0.isWhitespace }
    }

    /// The numbers that the compiler gives to variables.
    private func numbers(_ text: [UInt8], _ directory: String) async throws -> [String: Int] {
        let path = directory + "/\(UUID().uuidString).c"
        try Data(text).write(to: URL(filePath: path))
        var found: [String: Int] = [:]
        let words = try await shell("gcc -E -P -w \(path)").split { " \n\t;".contains($0) }
        for index in words.indices.dropLast(2) where words[index].hasPrefix("v") && words[index + 1] == "=" {
            found[String(words[index])] = Int(words[index + 2])
        }
        return found
    }

    @Test("After random edits and formatting the result means what the new text does", arguments: 1...12)
    func property(_ seed: UInt64) async throws {
        var random = SeededNumbers(state: seed)
        let pieces = (0..<6).flatMap { Self.function($0, &random) }
        let changed = Self.edited(pieces, &random)
        let old = Array(Self.text(pieces, &random).utf8)
        let new = Array(Self.text(changed, &random).utf8)
        try await withTemporaryDirectory { directory in
            let diff = try await ReformattedDiff(old: old, new: new, scratch: directory)
            try #require(!diff.diff.hunks.isEmpty)
            let fixed = try diff.fixed()
            #expect(try await tokens(fixed, directory) == tokens(new, directory))
            #expect(try await tokens(fixed, directory) != tokens(old, directory))
            // Nothing is left over, and what is untouched has its old number.
            #expect(
                try await ReformattedDiff(old: Self.withoutDirectives(fixed), new: new, scratch: directory).diff.hunks
                    .isEmpty)
            let touched = diff.diff.hunks.flatMap { diff.diff.new[$0.new] }.flatMap(\.self)
            let (before, after) = (try await numbers(old, directory), try await numbers(fixed, directory))
            var kept = 0
            for (name, number) in after where !String(decoding: touched, as: UTF8.self).contains(name + " ") {
                kept += 1
                #expect(before[name] == number, "\(name)")
            }
            #expect(kept > 0)
        }
    }

    private static func withoutDirectives(_ text: [UInt8]) -> [UInt8] {
        Array(
            String(decoding: text, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
                .filter { !$0.hasPrefix("#line ") }.joined(separator: "\n").utf8)
    }

    @Test("Each hunk alone gives what is between old and new", arguments: [3, 7] as [UInt64])
    func single(_ seed: UInt64) async throws {
        var random = SeededNumbers(state: seed)
        let pieces = (0..<4).flatMap { Self.function($0, &random) }
        let changed = Self.edited(pieces, &random)
        let old = Array(Self.text(pieces, &random).utf8)
        let new = Array(Self.text(changed, &random).utf8)
        try await withTemporaryDirectory { directory in
            let diff = try await ReformattedDiff(old: old, new: new, scratch: directory)
            for number in 1...diff.diff.hunks.count {
                let fixed = Self.withoutDirectives(try diff.fixed(chosen: [number]))
                let rest = try await ReformattedDiff(old: fixed, new: new, scratch: directory)
                #expect(rest.diff.hunks.count == diff.diff.hunks.count - 1)
            }
        }
    }

    @Test("A comment and other formatting change no byte of the object", arguments: 1...4)
    func comments(_ seed: UInt64) async throws {
        var random = SeededNumbers(state: seed)
        let pieces =
            [Piece.tokens(["int", "use", "(", "const", "char", "*", ",", "int", ",", "int", ")", ";"])]
            + (0..<4).flatMap { Self.function($0, &random) }
        var changed = pieces
        changed.insert(.comment("nothing that counts"), at: 4)
        let old = Array(Self.text(pieces, &random).utf8)
        let new = Array(Self.text(changed, &random).utf8)
        try await withTemporaryDirectory { directory in
            let diff = try await ReformattedDiff(old: old, new: new, scratch: directory)
            #expect(diff.diff.hunks.count == 1)
            var objects: [[UInt8]] = []
            for text in [old, try diff.fixed(), new] {
                try Data(text).write(to: URL(filePath: directory + "/x.c"))
                try await shell("cd \(directory); gcc -w -DB1 -O0 -c x.c -o x.o")
                objects.append([UInt8](try Data(contentsOf: URL(filePath: directory + "/x.o"))))
            }
            #expect(objects[0] == objects[1])
            // The new text itself has other numbers: the formatting would have shown.
            #expect(objects[0] != objects[2])
        }
    }

    private func fixed(_ old: String, _ new: String) async throws -> String {
        try await withTemporaryDirectory { directory in
            let diff = try await ReformattedDiff(old: Array(old.utf8), new: Array(new.utf8), scratch: directory)
            return String(decoding: try diff.fixed(), as: UTF8.self)
        }
    }

    @Test("Only the hunk is new; what shares a line with it goes on under its number") func exact() async throws {
        #expect(
            try await fixed("int a; int b;   int c;\nint  d;\n", "int a;\nint x;\nint c;\nint d;\n")
                == "int a;\nint x;\n#line 1\nint c;\nint  d;\n")
        #expect(
            try await fixed("int  a;\nint b;\n", "int a;\nint x;\nint b;\n") == "int  a;\nint x;\n#line 2\nint b;\n")
        #expect(try await fixed("int  a;\nint x;\nint b;\n", "int a;\nint b;\n") == "int  a;\n#line 3\nint b;\n")
    }

    @Test("White space counts where it has a meaning, and nowhere else") func meaning() async throws {
        try await withTemporaryDirectory { directory async throws in
            func count(_ old: String, _ new: String) async throws -> Int {
                try await ReformattedDiff(old: Array(old.utf8), new: Array(new.utf8), scratch: directory).diff.hunks
                    .count
            }
            #expect(try await count("int f(int a)\n{ return a ; }\n", "int f( int a ) {\n\n  return a;\n}\n") == 0)
            #expect(try await count("char a[] = \"x y\";\n", "char a[] = \"x  y\";\n") == 1)
            #expect(try await count("#define A(x) x\n", "#define A (x) x\n") == 1)
            #expect(try await count("#define A \\\n  1\n", "#define A 1\n") == 0)
        }
    }
}
