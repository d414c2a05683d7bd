//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import PatchBuilding
import Subprocess
import Testing

/// Numbers that look random and are the same in every run (SplitMix64).
struct SeededNumbers: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// A directory that is gone after the body.
func withTemporaryDirectory<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let path = FileManager.default.temporaryDirectory.path + "/moult-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    do {
        let result = try await body(path)
        try FileManager.default.removeItem(atPath: path)
        return result
    } catch {
        try? FileManager.default.removeItem(atPath: path)
        throw error
    }
}

/// Runs a shell script and expects success.
@discardableResult
func shell(_ script: String) async throws -> String {
    let result = try await run(
        .name("sh"), arguments: ["-e", "-c", script], output: .string(limit: 4 << 20), error: .string(limit: 1 << 20))
    try #require(result.terminationStatus.isSuccess, "\(script): \(result.standardError)")
    return result.standardOutput
}

/// Unchanged lines keep their numbers, as the compiler sees them.
@Suite("Line directives") struct LineDirectiveTests {
    /// The value of `__LINE__` per variable, after the preprocessor.
    private func numbers(_ text: [UInt8], _ directory: String) async throws -> [String: Int] {
        let path = directory + "/x.c"
        try Data(text).write(to: URL(filePath: path))
        var found: [String: Int] = [:]
        for line in try await shell("gcc -E -P \(path)").split(separator: ";") {
            let words = line.split { $0 == " " || $0 == "=" || $0 == "\n" }
            guard words.count == 3, words[0] == "int", let number = Int(words[2]) else { continue }
            found[String(words[1])] = number
        }
        return found
    }

    /// A source whose every declaration knows its number, with comments and continued lines between.
    private func source(_ count: Int, _ numbers: inout SeededNumbers) -> [String] {
        var lines: [String] = []
        while lines.count < count {
            switch Int.random(in: 0..<8, using: &numbers) {
            case 0: lines += ["/* a comment", " * of several \" lines", " */"]
            case 1: lines += ["#define M\(lines.count)(x) \\", "    ((x) + \\", "     1)"]
            case 2: lines += ["// one that continues \\", "in the next line"]
            case 3: lines += ["#if 0", "it's not closed /", "#endif"]
            case 4: lines += ["char c\(lines.count)[] = \"/* // \\\" \" \"'\" /* \" */;"]
            default: lines.append("int v\(lines.count + 1) = __LINE__;")
            }
        }
        return lines
    }

    /// Lines taken out, put in and exchanged, at random.
    private func edited(_ lines: [String], _ numbers: inout SeededNumbers) -> [String] {
        var result: [String] = []
        for (index, line) in lines.enumerated() {
            switch Int.random(in: 0..<20, using: &numbers) {
            case 0 where line.hasPrefix("int v"): continue
            case 1 where line.hasPrefix("int v"): result += ["int n\(index) = 1;", "int m\(index) = 2;"]
            case 2 where !(index > 0 && lines[index - 1].hasSuffix("\\")):
                result += Array(repeating: "", count: Int.random(in: 1...3, using: &numbers)) + [line]
            case 3 where line.hasSuffix("\\") && !line.hasPrefix("//"): result += [line, " + 0 + \\"]
            default: result.append(line)
            }
        }
        return result
    }

    @Test("After random edits every unchanged line keeps its number", arguments: 1...25)
    func property(_ seed: UInt64) async throws {
        var random = SeededNumbers(state: seed)
        let old = source(80, &random)
        let new = edited(old, &random)
        let kept = Set(new).intersection(old.filter { $0.hasPrefix("int v") })
        try await withTemporaryDirectory { directory in
            let diff = try await SourceDiff(
                old: Array((old.joined(separator: "\n") + "\n").utf8),
                new: Array((new.joined(separator: "\n") + "\n").utf8), scratch: directory)
            let found = try await numbers(try LineDirectives.fixed(diff), directory)
            try #require(!kept.isEmpty)
            for line in kept {
                let name = String(line.split(separator: " ")[1])
                #expect(found[name] == Int(name.dropFirst()), "\(name)")
            }
        }
    }

    @Test("Without directives the edits would show") func withoutDirectives() async throws {
        try await withTemporaryDirectory { directory in
            let found = try await numbers(Array("\nint v1 = __LINE__;\n".utf8), directory)
            #expect(found == ["v1": 2])
        }
    }

    private func diff(_ old: String, _ new: String) async throws -> SourceDiff {
        try await withTemporaryDirectory { directory in
            try await SourceDiff(old: Array(old.utf8), new: Array(new.utf8), scratch: directory)
        }
    }

    @Test("One directive after each hunk that moves lines, none after one that does not") func exact() async throws {
        let diff = try await diff("a\nb\nc\nd\n", "A\nb\nnew\nc\n")
        #expect(diff.hunks.count == 3)
        #expect(String(decoding: try LineDirectives.fixed(diff), as: UTF8.self) == "A\nb\nnew\n#line 3\nc\n")
    }

    @Test("Only the hunks that are chosen are put in place") func chosen() async throws {
        let diff = try await diff("a\nb\nc\nd", "x\na\nb\nC\nd")
        #expect(String(decoding: try LineDirectives.fixed(diff, chosen: [2]), as: UTF8.self) == "a\nb\nC\nd")
        #expect(
            String(decoding: try LineDirectives.fixed(diff, chosen: [1]), as: UTF8.self) == "x\n#line 1\na\nb\nc\nd")
        #expect(throws: PreparationError.self) { try LineDirectives.fixed(diff, chosen: [3]) }
    }

    @Test("A directive waits for the end of a comment and of a continued line") func waits() async throws {
        let comment = try await diff("/*\na\n*/\nint b;\n", "/*\nnew\na\n*/\nint b;\n")
        #expect(
            String(decoding: try LineDirectives.fixed(comment), as: UTF8.self)
                == "/*\nnew\na\n*/\n#line 4\nint b;\n")
        let macro = try await diff("#define A \\\n1\nint b;\n", "#define A \\\n0 + \\\n1\nint b;\n")
        #expect(
            String(decoding: try LineDirectives.fixed(macro), as: UTF8.self)
                == "#define A \\\n0 + \\\n1\n#line 3\nint b;\n")
    }
}
