//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Commands
import Testing

@Suite("Arguments")
struct ArgumentsTests {
    private func parse(_ arguments: String...) throws -> Arguments {
        try Arguments(arguments, flags: ["all", "dry-run"], options: ["pid", "timeout", "format"])
    }

    @Test("both spellings of a value mean the same")
    func spellings() throws {
        #expect(try parse("--timeout=3", "f") == parse("--timeout", "3", "f"))
        #expect(try parse("--timeout=3").value(of: "timeout") == "3")
        #expect(try parse("--timeout=").value(of: "timeout") == "")
    }

    @Test("operands may stand anywhere, and behind -- nothing is an option")
    func operands() throws {
        let arguments = try parse("a", "--all", "b", "-", "--", "--dry-run", "-x")
        #expect(arguments.operands == ["a", "b", "-", "--dry-run", "-x"])
        #expect(arguments.has("all"))
        #expect(!arguments.has("dry-run"))
    }

    @Test("the last value counts, all can be had")
    func repetition() throws {
        let arguments = try parse("--pid", "1", "--pid=2", "--pid", "1")
        #expect(arguments.values(of: "pid") == ["1", "2", "1"])
        #expect(arguments.value(of: "pid") == "1")
        let names = ["1", "2"].compactMap(ProcessName.init)
        #expect(try arguments.selection() == .processes(names))
    }

    @Test(
        "what is not understood is refused",
        arguments: [
            ["--no-such"], ["-v"], ["--all=1"], ["--pid"], ["--pidx", "1"], ["--ALL"],
        ])
    func unknown(arguments: [String]) {
        #expect(throws: UsageError.self) {
            try Arguments(arguments, flags: ["all"], options: ["pid"])
        }
    }

    @Test("a process instance is a name too")
    func instance() throws {
        let name = try #require(ProcessName("12-50d13-fe00-3e2bb"))
        #expect(name.pid == 12)
        #expect(name.instance == "12-50d13-fe00-3e2bb")
        #expect(ProcessName("12")?.instance == nil)
    }

    @Test(
        "what names no process",
        arguments: [
            "0", "-1", "+5", "1x", "", " 1", "2147483648", "1-2", "1-2-3", "1-2-3-4-5", "1-2-3-", "1-2-3-G", "1-2-3-A",
            "0-1-2-3", "1--2-3",
        ])
    func badProcess(value: String) throws {
        let arguments = try parse("--pid=\(value)")
        #expect(throws: UsageError.self) { try arguments.selection() }
    }

    @Test("--pid and --all exclude each other; neither is nil")
    func selection() throws {
        #expect(try parse().selection() == nil)
        #expect(try parse("--all").selection() == .all)
        #expect(throws: UsageError.self) { try parse("--all", "--pid=1").selection() }
    }

    @Test(
        "durations",
        arguments: zip(["0", "5", "5s", "250ms", "2m", "86400"], [0, 5000, 5000, 250, 120_000, 86_400_000]))
    func durations(text: String, milliseconds: Int) throws {
        #expect(try parse("--timeout", text).timeoutMilliseconds() == milliseconds)
    }

    @Test(
        "durations that are none",
        arguments: ["", "s", "ms", "-1", "1.5", "1h", "86401", "99999999999999999999", "9223372036854775807m", "٣"])
    func badDurations(text: String) throws {
        let arguments = try parse("--timeout=\(text)")
        #expect(throws: UsageError.self) { try arguments.timeoutMilliseconds() }
    }

    @Test("formats are text and json")
    func formats() throws {
        #expect(try parse().format() == .text)
        #expect(try parse("--format=json").format() == .json)
        #expect(throws: UsageError.self) { try parse("--format=JSON").format() }
    }
}
