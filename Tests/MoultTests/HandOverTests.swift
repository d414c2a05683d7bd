//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Commands
import Foundation
import Testing

/// The front beside siblings that only say how they were called.
@Suite("Handing over")
struct HandOverTests {
    private let directory: TemporaryDirectory
    private let front: URL

    init() throws {
        directory = try TemporaryDirectory()
        front = directory.url.appending(path: "moult")
        // A child writes the files: a descriptor of ours that is open for writing would be inherited by whatever
        // other tests start meanwhile, and the kernel does not execute a file that someone may write (ETXTBSY).
        let script = """
            cd "$1" && cp "$2" moult && for name in moult-build moult-observer moult-applier; do
                {
                    echo '#!/bin/sh'
                    echo 'printf "%s\\n" "${0##*/}" "$@"'
                    echo 'echo "to standard error" >&2'
                    echo 'exit "${MOULT_TEST_EXIT:-0}"'
                } >"$name" && chmod +x "$name" || exit 1
            done
            """
        let run = try CommandRun(
            URL(fileURLWithPath: "/bin/sh"), ["-c", script, "sh", directory.url.path, CommandRun.built("moult").path])
        try #require(run.exitCode == 0, "\(run.error)")
    }

    @Test(
        "arguments arrive normalised: options first, then --, then operands",
        arguments: zip(
            [
                "build a.yaml b.yaml --dry-run --output=/tmp/x",
                "inspect --format json f.moult",
                "targets",
                "targets --all --explain",
                "status a.moult --pid 7 b.moult --pid=8",
                "apply a.moult --pid 7 --timeout=500ms --dry-run -- --odd.moult",
                "verify --all --format=json",
                "verify",
                "verify CVE-2026-1 --pid 12-3-4-5",
                "undo CVE-2026-1 --pid 12 --timeout 2m --explain",
            ],
            [
                "moult-build build --dry-run --output /tmp/x --format text -- a.yaml b.yaml",
                "moult-build inspect --format json -- f.moult",
                "moult-observer targets --format text",
                "moult-observer targets --all --explain --format text",
                "moult-observer status --pid 7 --pid 8 --format text -- a.moult b.moult",
                "moult-applier apply --pid 7 --timeout 500ms --dry-run --format text -- a.moult --odd.moult",
                "moult-applier verify --all --format json",
                "moult-applier verify --all --format text",
                "moult-applier verify --pid 12-3-4-5 --format text -- CVE-2026-1",
                "moult-applier undo --pid 12 --timeout 2m --explain --format text -- CVE-2026-1",
            ]))
    func arguments(given: String, handedOver: String) throws {
        let run = try CommandRun(front, given.split(separator: " ").map(String.init))
        #expect(run.output.split(separator: "\n").joined(separator: " ") == handedOver)
        #expect(run.error == "to standard error\n")
        #expect(run.exitCode == 0)
    }

    @Test("blanks, quotes and empty arguments survive")
    func oddArguments() throws {
        let run = try CommandRun(front, ["apply", "--all", "a b", "", "$(x)", "ü'\""])
        #expect(run.output == "moult-applier\napply\n--all\n--format\ntext\n--\na b\n\n$(x)\nü'\"\n")
    }

    @Test("exit codes come through unchanged", arguments: [0, 1, 2, 3, 4, 10, 11, 12, 13, 64, 77, 255])
    func exitCodes(code: Int32) throws {
        let run = try CommandRun(front, ["status"], environment: ["MOULT_TEST_EXIT": String(code)])
        #expect(run.exitCode == code)
    }

    @Test("a sibling is looked for beside the front only, whatever PATH and argv[0] say")
    func noOtherSibling() throws {
        try FileManager.default.removeItem(at: directory.url.appending(path: "moult-applier"))
        let elsewhere = try TemporaryDirectory()
        try elsewhere.write("moult-applier", "#!/bin/sh\necho wrong\n", executable: true)
        let link = elsewhere.url.appending(path: "moult")
        try FileManager.default.createSymbolicLink(at: link, withDestinationURL: front)
        let run = try CommandRun(
            link, ["undo", "x", "--all", "--format", "json"], environment: ["PATH": elsewhere.url.path])
        #expect(run.exitCode == ExitCode.failed.rawValue)
        let document = try #require(
            try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: String])
        #expect(document["schema"] == "moult.error/1")
        #expect(document["reason"] == "executable-missing")
        #expect(document["command"] == "undo")
    }

    @Test(
        "a wrong command line ends with 64 before anything is run",
        arguments: [
            "frob", "apply", "apply f", "apply --all", "apply --all --pid 1 f", "apply --pid 0 f", "apply --pid x f",
            "apply --all --timeout 1h f", "undo --all", "undo a b --all", "undo a", "inspect", "inspect a b", "build",
            "targets x", "targets --format xml", "status --no-such", "verify --pid 1-2", "targets --all --pid 3",
        ])
    func usage(line: String) throws {
        let run = try CommandRun(front, line.split(separator: " ").map(String.init))
        #expect(run.exitCode == ExitCode.usage.rawValue)
        #expect(run.output == "")
        #expect(run.error.contains("Usage: moult"))
    }

    @Test("the version is the change log's newest")
    func version() throws {
        let run = try CommandRun(front, ["--version"])
        #expect(run.output == "\(Release.version)\n")
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let changeLog = try String(contentsOf: root.appending(path: "CHANGELOG.md"), encoding: .utf8)
        let newest = changeLog.split(separator: "\n").first { $0.hasPrefix("## [") && !$0.hasPrefix("## [Unreleased") }
        #expect(newest?.hasPrefix("## [\(Release.version)]") == true)
    }

    @Test("the front needs no library: it is one static file")
    func isStatic() throws {
        let bytes = [UInt8](try Data(contentsOf: front))
        // ELF-64 Object File Format: e_phoff at 32, e_phentsize at 54, e_phnum at 56; PT_INTERP is 3.
        func number(_ offset: Int, _ size: Int) -> Int {
            bytes[offset..<offset + size].reversed().reduce(0) { $0 << 8 | Int($1) }
        }
        let types = (0..<number(56, 2)).map { number(number(32, 8) + $0 * number(54, 2), 4) }
        #expect(types.contains(1))
        #expect(!types.contains(3))
    }
}
