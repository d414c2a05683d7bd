//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import Testing

/// The observer looks at all processes, so it runs in a PID namespace of its own (unshare(1)), where there are only
/// those that the test starts. Needs root.
@Suite("moult-observer")
struct ObserverTests {
    /// Runs a shell script in a PID namespace; `$M` is the front.
    private func run(_ script: String) throws -> CommandRun {
        try CommandRun(
            URL(fileURLWithPath: "/usr/bin/timeout"),
            [
                "--signal=KILL", "120", "unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "/bin/bash", "-c",
                script,
            ],
            environment: ["M": CommandRun.built("moult").path])
    }

    private func parse(_ text: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    @Test("stays inside: two victims, the shell and the observer itself, nothing else")
    func staysInside() throws {
        let run = try run(
            """
            sleep 1000 & tail -f /dev/null &
            until grep -q sleep /proc/2/comm && grep -q tail /proc/3/comm; do :; done
            "$M" targets --format json; exit $?
            """)
        #expect(run.exitCode == 0, "\(run.error)")
        let document = try parse(run.output)
        let processes = try #require(document["processes"] as? [[String: Any]])
        #expect(processes.map { $0["name"] as? String } == ["bash", "sleep", "tail", "moult-observer"])
        #expect(processes.prefix(3).map { $0["pid"] as? Int } == [1, 2, 3])
        #expect(document["kernel-threads"] as? Int == 0)
        #expect(processes.map { $0["patchable"] as? Bool } == [true, true, true, false])
        let reasons = processes.last?["reasons"] as? [[String: String]]
        #expect(reasons?.map { $0["reason"] } == ["protected-process"])
    }

    @Test("builds are named as readelf names them")
    func buildIDs() throws {
        let run = try run(
            """
            sleep 1000 & until grep -q sleep /proc/$!/comm; do :; done
            "$M" targets --pid $! --format json
            readelf -n "$(readlink /proc/$!/exe)" | grep -o 'Build ID: .*' >&2
            """)
        let document = try parse(run.output)
        let process = try #require((document["processes"] as? [[String: Any]])?.first)
        let builds = try #require(process["builds"] as? [[String: Any]])
        let executable = try #require(builds.first { $0["kind"] as? String == "executable" })
        #expect(run.error == "Build ID: \(executable["build-id"] as? String ?? "none")\n")
        #expect(builds.contains { ($0["file"] as? String)?.hasSuffix("/libc.so.6") == true })
    }

    @Test("a library that was replaced on disk is told, and its build is still the one that is mapped")
    func replaced() throws {
        let run = try run(
            """
            d=$(mktemp -d); cp /bin/sleep "$d/victim"; "$d/victim" 1000 &
            until grep -q victim /proc/$!/comm; do :; done
            cp /bin/true "$d/new"; mv "$d/new" "$d/victim"
            "$M" targets --pid $!; rm -r "$d"
            readelf -n /bin/sleep | grep -o 'Build ID: .*' >&2
            """)
        let buildID = run.error.dropFirst("Build ID: ".count).dropLast()
        #expect(buildID.count == 40, "\(run.error)")
        #expect(run.output.contains(/(?m)^  \S+ \S+\/victim.* \(deleted or replaced on disk\)$/), "\(run.output)")
        #expect(run.output.contains("  \(buildID) "))
    }

    @Test("a process under a tracer is not patchable, with the reason and, asked for, the remedy")
    func traced() throws {
        let run = try run(
            """
            sleep 1000 & victim=$!
            gdb -q -nx -p $victim -ex 'shell sleep 1000' >/dev/null 2>&1 &
            until grep -q '^TracerPid:.*[1-9]' /proc/$victim/status; do :; done
            "$M" targets --pid $victim --explain
            """)
        #expect(run.output.contains("1 thread, not patchable\n  being-traced: "), "\(run.output)")
        #expect(run.output.contains(/being-traced: .*\n    remedy: ./))
    }

    @Test(
        "status without anything applied",
        arguments: zip(
            ["status", "status --pid 1", "status --pid 4444", "status --pid 4444 --pid 1", "status /bin/true"],
            [10, 10, 1, 10, 2] as [Int32]))
    func exitCodes(line: String, code: Int32) throws {
        let run = try run("sleep 1000 & \"$M\" \(line) --format json; exit $?")
        #expect(run.exitCode == code, "\(run.output) \(run.error)")
        let document = try parse(run.output)
        #expect(document["schema"] as? String == (code == 10 ? "moult.status/1" : "moult.error/1"))
        if code == 1 { #expect(document["reason"] as? String == "no-such-process") }
        if code == 2 { #expect(document["reason"] as? String == "digest-mismatch") }
    }

    @Test("what cannot be written has not been told")
    func fullOutput() throws {
        #expect(try run("\"$M\" targets >/dev/full").exitCode == 1)
        #expect(try run("\"$M\" targets | true; exit ${PIPESTATUS[0]}").exitCode <= 1)
    }
}
