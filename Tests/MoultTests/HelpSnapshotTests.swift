//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import Testing

/// Help is an interface: a change of it must be seen in a review. `MOULT_RECORD_SNAPSHOTS=1` writes the files anew.
@Suite("Help")
struct HelpSnapshotTests {
    @Test(
        "help is what the snapshot says",
        arguments: ["", "build", "inspect", "targets", "status", "apply", "verify", "undo"])
    func help(command: String) throws {
        let run = try CommandRun(CommandRun.built("moult"), command.isEmpty ? ["help"] : ["help", command])
        #expect(run.exitCode == 0)
        #expect(run.error == "")
        let name = command.isEmpty ? "moult.txt" : "moult-\(command).txt"
        let snapshot = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appending(path: "Snapshots").appending(path: name)
        if ProcessInfo.processInfo.environment["MOULT_RECORD_SNAPSHOTS"] == "1" {
            try Data(run.output.utf8).write(to: snapshot)
        }
        #expect(run.output == (try String(contentsOf: snapshot, encoding: .utf8)))
    }

    @Test("--help and help print the same")
    func spellings() throws {
        let long = try CommandRun(CommandRun.built("moult"), ["apply", "--help"])
        let short = try CommandRun(CommandRun.built("moult"), ["help", "apply"])
        #expect(long.output == short.output)
        #expect(long.exitCode == 0)
    }
}
