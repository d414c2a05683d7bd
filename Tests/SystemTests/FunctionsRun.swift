//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import TestSupport
import Testing

/// Runs the legal uses of the cases of a target under a debugger, with a breakpoint on each function that the live
/// patches replace.
struct FunctionsRun {
    /// The functions that did not run in the legal use of their own fix: `FIX FUNCTION`.
    let missing: [String]
    /// What the debugger said.
    let output: String

    /// A function that the library has under its name and that no case calls: addresses are told by it.
    private static let landmark = "OPENSSL_gmtime"

    init(of group: [BuiltFix], libraries: String) throws {
        let symbols = try Command.run("/usr/bin/nm", ["-D", libraries + "/libcrypto.so.3"]).output
        let line = try #require(symbols.split(separator: "\n").first { $0.contains(" T \(Self.landmark)@") })
        let offset = try #require(UInt64(line.prefix(16), radix: 16))
        let questions = TestProgram.directory + "/questions"
        try group.map { "legal \($0.fix.identifier)\n" }.joined()
            .write(toFile: questions, atomically: true, encoding: .utf8)
        // Only from a case's beginning on: the keys of the cases are made before.
        var script = [
            "set environment LD_LIBRARY_PATH \(libraries)", "set args 0 < \(questions)", "break openssl_case_legal",
            "run",
        ]
        for built in group {
            script += ["delete", "break openssl_case_legal", "echo \\n"]
            // Each breakpoint is for once: some of the functions run a thousand times.
            for (name, address) in built.functions {
                script += [
                    "tbreak *((unsigned long)&\(Self.landmark) - \(offset) + \(address))",
                    "commands", "silent", "echo \\nran \(built.fix.identifier) \(name)\\n", "continue", "end",
                ]
            }
            script.append("continue")
        }
        let file = TestProgram.directory + "/questions.gdb"
        try (script.joined(separator: "\n") + "\n").write(toFile: file, atomically: true, encoding: .utf8)
        let victim = try KillHarness.executable("moult-case-victim")
        output = try Command.run("/usr/bin/gdb", ["-q", "-nx", "-batch", "-x", file, victim]).output
        let ran = Set(output.split(separator: "\n").filter { $0.hasPrefix("ran ") }.map { String($0.dropFirst(4)) })
        missing = group.flatMap { built in built.functions.keys.map { "\(built.fix.identifier) \($0)" } }
            .filter { !ran.contains($0) }.sorted()
    }
}
