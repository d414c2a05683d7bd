//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import Foundation
import LivePatch
import Testing

/// `build` and `inspect` from outside. Building real patches is what Tests/SystemTests do.
@Suite("moult-build")
struct BuilderTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    private func run(_ arguments: String...) throws -> CommandRun {
        try CommandRun(CommandRun.built("moult"), arguments, environment: ["MOULT_CACHE": directory.url.path])
    }

    private func write(_ bytes: [UInt8]) throws -> String {
        let file = directory.url.appending(path: "p.moult")
        try Data(bytes).write(to: file)
        return file.path
    }

    /// One function of ten bytes and its gate; nobody executes it.
    private var patch: Patch {
        Patch(
            identifier: "CVE-2026-0001",
            target: Target(
                buildID: Array(0xa0...0xb3), name: "libanswer.so.1", package: "libanswer1", packageVersion: "1.0-1",
                machine: 62),
            provenance: Provenance(
                cves: ["CVE-2026-0001"], partOf: "half of it", source: "answer", suite: "bookworm",
                vulnerableVersion: "1.0-1", fixedVersion: "1.0-2", reasons: ["one function changed"],
                waivers: [
                    Provenance.Waiver(
                        reason: "changed-data", object: "a.o", subject: "answers", use: .old, because: "nobody asks")
                ],
                adaptation: Provenance.Adaptation(name: "keep.patch", because: "the table stays"),
                inputs: ["sha256:00 answer.dsc", "sha256:00 keep.patch"]),
            verdict: .quiescent,
            entries: [
                Entry(
                    name: "answer", address: 0x1140, expected: [UInt8](repeating: 0x90, count: 10), masked: [],
                    prologue: [4, 5], replacement: 0, replacementSize: 24, gate: nil)
            ],
            fixUps: [
                FixUp(
                    name: "answers+8", address: 0x3008, size: .eight, from: .address(.target(0x1140)),
                    to: .address(.image(0)), because: "nobody asks twice"),
                FixUp(name: "flag", address: 0x4000, size: .one, from: .number(0), to: .number(1), because: "unread"),
            ],
            image: Image(
                code: [UInt8](repeating: 0xcc, count: 24), constants: [UInt8](repeating: 0, count: 8),
                unwind: [0, 0, 0, 0],
                relocations: [
                    Relocation(offset: 9, kind: .relative32, destination: .target(0x1120), addend: -4)
                ]),
            symbols: [], requires: ["CVE-2026-0000"])
    }

    private func file() throws -> [UInt8] {
        try PatchWriter.write(patch) { SHA256.digest(of: $0).bytes }
    }

    @Test("inspect shows everything that a live patch holds")
    func inspect() throws {
        let path = try write(try file())
        let run = try run("inspect", path, "--format", "json")
        #expect(run.exitCode == 0, "\(run.error)")
        let document = try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? NSDictionary)
        var expected = document.mutableCopy() as? [String: Any] ?? [:]
        expected.merge(
            [
                "schema": "moult.inspect/1", "file": path, "size": try file().count,
                "digest": String(decoding: try file().suffix(32).flatMap { hexadecimal($0) }, as: UTF8.self),
                "id": "CVE-2026-0001", "verdict": "quiescent", "reasons": ["one function changed"],
                "cves": ["CVE-2026-0001"], "part-of": "half of it", "requires": ["CVE-2026-0000"],
                "target": [
                    "name": "libanswer.so.1", "build-id": "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3",
                    "package": "libanswer1", "version": "1.0-1", "machine": 62,
                ] as [String: Any],
                "source": ["package": "answer", "suite": "bookworm", "vulnerable": "1.0-1", "fixed": "1.0-2"],
                "functions": [
                    ["name": "answer", "address": "0x1140", "old-size": 10, "new-size": 24, "gate": false]
                        as [String: Any]
                ],
                "image": ["size": 52, "code": 24, "constants": 8, "unwind": 4],
                "relocations": [
                    ["offset": 9, "type": "R_X86_64_PC32", "in": "target", "to": "0x1120", "addend": -4]
                        as [String: Any]
                ],
                "inputs": ["sha256:00 answer.dsc", "sha256:00 keep.patch"],
                "waivers": [
                    [
                        "reason": "changed-data", "object": "a.o", "subject": "answers", "use": "old",
                        "because": "nobody asks",
                    ]
                ],
                "adapted": ["name": "keep.patch", "because": "the table stays"],
                "fixups": [
                    [
                        "name": "answers+8", "address": "0x3008", "size": 8,
                        "from": ["in": "target", "value": "0x1140"], "to": ["in": "image", "value": "0x0"],
                        "because": "nobody asks twice",
                    ] as [String: Any],
                    [
                        "name": "flag", "address": "0x4000", "size": 1, "from": ["in": "number", "value": "0x0"],
                        "to": ["in": "number", "value": "0x1"], "because": "unread",
                    ] as [String: Any],
                ],
            ]) { $1 }
        #expect(document == expected as NSDictionary)

        let text = try self.run("inspect", path).output
        for part in [
            "CVE-2026-0001: quiescent", "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3", "half of it", "CVE-2026-0000",
            "0x1140 10 -> 24 answer, no gate", "0x9 R_X86_64_PC32 target 0x1120 + -4", "sha256:00 answer.dsc",
            "adapted   by keep.patch, because the table stays",
            "waived    changed-data answers of a.o (its old contents are used), because nobody asks",
            "sets      answers+8, 8 bytes at 0x3008, from target 0x1140 to image 0x0, because nobody asks twice",
            "sets      flag, 1 byte at 0x4000, from 0x0 to 0x1, because unread",
        ] {
            #expect(text.contains(part), "\(part)")
        }
    }

    private func hexadecimal(_ byte: UInt8) -> [UInt8] { Array(String(format: "%02x", byte).utf8) }

    @Test("python reads what is written")
    func python() throws {
        let output = try run("inspect", try write(try file()), "--format", "json").output
        let document = try directory.write("document.json", output)
        let run = try CommandRun(
            URL(fileURLWithPath: "/usr/bin/python3"),
            ["-c", "import json,sys; print(json.load(open(sys.argv[1]))['functions'][0]['name'])", document.path])
        #expect(run.output == "answer\n", "\(run.error)")
    }

    @Test("a damaged file is refused with its reason")
    func damaged() throws {
        let whole = try file()
        var flipped = whole
        flipped[200] ^= 0x10
        var digested = Array("no live patch, but a digest that is right".utf8)
        digested += SHA256.digest(of: digested.span.bytes).bytes
        for (bytes, reason) in [
            (flipped, "digest-mismatch"), (Array(whole.dropLast()), "file-truncated"), ([], "file-truncated"),
            (Array(whole.prefix(31)), "file-truncated"), (digested, "not-a-patch"),
        ] {
            let run = try run("inspect", try write(bytes), "--format", "json")
            #expect(run.exitCode == 2)
            let document = try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: String]
            #expect(document?["schema"] == "moult.error/1")
            #expect(document?["reason"] == reason)
            #expect(document?["remedy"]?.isEmpty == false)
        }
    }

    @Test("what cannot be opened has failed", arguments: ["/nonexistent", "/proc", "/dev/null"])
    func unreadable(path: String) throws {
        let run = try run("inspect", path)
        #expect(run.exitCode == 1)
        #expect(run.output == "")
        #expect(run.error.contains("\n  reason: file-unreadable\n  remedy: "))
    }

    @Test("a recipe that cannot be read fails, with line, reason and remedy; nothing is written")
    func malformedRecipe() throws {
        let folder = directory.url.appending(path: "suite/source")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try Data("cves: [CVE-2026-1]\nsurprise: 1\n".utf8).write(to: folder.appending(path: "x.yaml"))
        let run = try run(
            "build", folder.appending(path: "x.yaml").path, "--format", "json", "--output",
            directory.url.appending(path: "out").path)
        #expect(run.exitCode == 1)
        let document = try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
        #expect(document["schema"] as? String == "moult.build/1")
        #expect(document["verdict"] is NSNull)
        let result = try #require((document["patches"] as? [[String: Any]])?.first)
        let failure = try #require(result["failure"] as? [String: String])
        #expect(failure["reason"] == "malformed-recipe")
        #expect(failure["message"]?.contains("x.yaml:") == true, "\(failure)")
        #expect(!FileManager.default.fileExists(atPath: directory.url.appending(path: "out").path))
    }

    @Test("a report is a table, and two files beside the live patches")
    func report() throws {
        let folder = directory.url.appending(path: "suite/source")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try Data("surprise: 1\n".utf8).write(to: folder.appending(path: "x.yaml"))
        let recipe = folder.appending(path: "x.yaml").path
        let output = directory.url.appending(path: "out")
        let run = try run("build", recipe, "--report", "--output", output.path)
        #expect(run.exitCode == 1)
        #expect(run.output.hasSuffix("1 fix: 1 failed\n"), "\(run.output)")
        #expect(try String(contentsOf: output.appending(path: "report.html"), encoding: .utf8).hasSuffix("</html>\n"))
        let document = try JSONSerialization.jsonObject(with: Data(contentsOf: output.appending(path: "report.json")))
        #expect((document as? [String: Any])?["schema"] as? String == "moult.build-report/1")

        let dry = try self.run(
            "build", recipe, "--report", "--dry-run", "--format", "json", "--output", output.path + "2")
        #expect(dry.exitCode == 1)
        #expect(try JSONSerialization.jsonObject(with: Data(dry.output.utf8)) is [String: Any])
        #expect(!FileManager.default.fileExists(atPath: output.path + "2"))
    }

    @Test(
        "called by hand, it knows a wrong command line too",
        arguments: ["", "frob", "build", "inspect", "inspect a b", "build --no-such x", "inspect a --dry-run"])
    func usage(line: String) throws {
        let run = try CommandRun(CommandRun.built("moult-build"), line.split(separator: " ").map(String.init))
        #expect(run.exitCode == 64)
        #expect(run.output == "")
        #expect(!run.error.isEmpty)
    }
}
