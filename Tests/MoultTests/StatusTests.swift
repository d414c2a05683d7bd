//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import Testing

/// All commands on processes that really run, in a PID namespace of their own. Needs root.
@Suite("Commands on running processes")
struct StatusTests {
    /// Runs commands after starting two victims, with pids in `$a` and `$b`; `$P` and `$Q` are live patches for them.
    private func run(_ script: String) throws -> CommandRun {
        let victim = try AnsweringVictim()
        let setUp = """
            cd "$D"; P=answer.moult; Q=other.moult
            ./victim one & a=$!
            ./victim two & b=$!
            until [ -s one ] && [ -s two ]; do :; done
            m() { "$M" "$@" >>log 2>&1; echo "$? $*"; }
            # What a victim answers now: the next line that it writes is waited for.
            answers() { : >"$1"; until [ -s "$1" ]; do :; done; echo "$1: $(cat "$1")"; }

            """
        return try CommandRun(
            URL(fileURLWithPath: "/usr/bin/timeout"),
            [
                "--signal=KILL", "120", "unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "/bin/bash", "-c",
                setUp + script + "\ncat log >&2",
            ], environment: ["M": CommandRun.built("moult").path, "D": victim.directory.url.path])
    }

    @Test("exit codes of status tell every step, and the processes answer accordingly")
    func steps() throws {
        let run = try run(
            """
            m status $P; m status; answers one
            m apply --dry-run --pid $a $P; m status $P
            m apply --pid $a $P; m status $P; m status; m status --pid $a $P; m status --pid $b $P
            answers one; answers two
            m apply --pid $a --pid $b $P; m status $P; m status; m verify
            m status $P $Q; m status $Q
            m apply --all $Q; m status $P $Q; answers one; answers two
            m undo answer --all; m status $P; m status $Q; answers two
            m undo answer --all; m undo other --all; m status $P $Q; m status; answers one; answers two
            """)
        let lines = run.output.split(separator: "\n").map(String.init)
        #expect(
            lines == [
                "10 status answer.moult", "10 status", "one: 41 51",
                "0 apply --dry-run --pid 2 answer.moult", "10 status answer.moult",
                "0 apply --pid 2 answer.moult", "13 status answer.moult", "13 status",
                "0 status --pid 2 answer.moult", "10 status --pid 3 answer.moult",
                "one: 42 51", "two: 41 51",
                "0 apply --pid 2 --pid 3 answer.moult", "0 status answer.moult", "0 status", "0 verify",
                "11 status answer.moult other.moult", "11 status other.moult",
                "0 apply --all other.moult", "0 status answer.moult other.moult",
                "one: 42 52", "two: 42 52",
                "0 undo answer --all", "11 status answer.moult", "0 status other.moult", "two: 41 52",
                "2 undo answer --all", "0 undo other --all", "10 status answer.moult other.moult", "10 status",
                "one: 41 51", "two: 41 51",
            ], "\(run.error)")
    }

    @Test("targets shows what is patched; what a process that is not there says is its own reason")
    func targets() throws {
        let run = try run(
            """
            m apply --pid $a $P; "$M" targets --pid $a --pid $b | grep /victim
            "$M" status $P --format json --pid $a
            """)
        let lines = run.output.split(separator: "\n").map(String.init)
        #expect(lines.first == "0 apply --pid 2 answer.moult", "\(run.error)")
        #expect(lines.dropFirst().first?.hasSuffix("/victim [answer: applied]") == true, "\(lines)")
        #expect(lines.dropFirst(2).first?.hasSuffix("/victim") == true, "\(lines)")
        let document = try #require(
            try JSONSerialization.jsonObject(with: Data(lines.dropFirst(3).joined(separator: "\n").utf8))
                as? [String: Any])
        #expect(document["result"] as? String == "newest-applied")
        let process = try #require((document["processes"] as? [[String: Any]])?.first)
        let patch = try #require((process["patches"] as? [[String: Any]])?.first)
        #expect(patch["id"] as? String == "answer")
        #expect(patch["state"] as? String == "applied")
        #expect(patch["functions"] as? [String] == ["answer"])
    }

    @Test("no process with the target: not supported, and apply refuses")
    func notSupported() throws {
        // SIGKILL: a test's children inherit blocked signals from the thread that starts them.
        let run = try run(
            "kill -KILL $a $b; wait $a $b 2>/dev/null; m status $P; m apply --all $P; m status --pid $a $P")
        #expect(run.output == "12 status answer.moult\n2 apply --all answer.moult\n1 status --pid 2 answer.moult\n")
        #expect(run.error.contains("target-not-mapped"))
    }

    @Test("an instance that is another process now is not looked at")
    func reusedInstance() throws {
        let run = try run(
            """
            i=$("$M" targets --pid $a --format json | sed -n 's/.*"instance": "\\(.*\\)".*/\\1/p')
            m status --pid "$i" | cut -c 1-15
            m status --pid "${i%?}0" $P | cut -c 1-15
            m status --pid "${i%?}1" $P | cut -c 1-15
            """)
        // The last digit of the instance is changed to two others, so at least one of them is wrong.
        #expect(run.output.contains("10 status --pid"))
        #expect(run.output.contains("1 status --pid"))
        #expect(run.error.contains("other-instance"))
    }
}
