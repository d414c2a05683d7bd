//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import Foundation
import LivePatch

/// A small program whose two functions answer 41 and 51, and live patches, made by hand, that make them answer 42
/// and 52.
struct AnsweringVictim {
    /// Everything lies here: `victim`, `answer.moult`, `other.moult`.
    let directory: TemporaryDirectory

    /// It writes what the functions answer to the file that it is given, for ever.
    private static let source = """
        #include <stdio.h>
        #include <unistd.h>
        #include <fcntl.h>
        int answer(void);
        int other(void);
        __asm__(".text\\n.p2align 6\\n.globl answer\\n.type answer,@function\\nanswer: endbr64\\nmovl $41,%eax\\nret\\n"
                ".size answer,.-answer\\n.p2align 6\\n.globl other\\n.type other,@function\\n"
                "other: endbr64\\nmovl $51,%eax\\nret\\n.size other,.-other\\n.p2align 6\\n");
        int main(int count, char **arguments) {
            int file = open(arguments[count - 1], O_CREAT | O_WRONLY | O_TRUNC, 0600);
            for (;;) {
                char text[16];
                if (pwrite(file, text, snprintf(text, sizeof text, "%d %d\\n", answer(), other()), 0) < 0) return 1;
                usleep(1000);
            }
        }
        """

    init() throws {
        directory = try TemporaryDirectory()
        let source = try directory.write("victim.c", Self.source)
        let victim = directory.url.appending(path: "victim").path
        _ = try Self.tool("gcc", ["-O2", "-fPIE", "-pie", "-Wl,--build-id=sha1", "-o", victim, source.path])
        let symbols = try Self.tool("nm", [victim])
        let notes = try Self.tool("readelf", ["-n", victim])
        guard let match = notes.firstMatch(of: /Build ID: ([0-9a-f]{40})/) else { throw CocoaError(.fileReadUnknown) }
        let digits = Array(match.1)
        let buildID = stride(from: 0, to: 40, by: 2).compactMap { UInt8(String(digits[$0...($0 + 1)]), radix: 16) }
        for (name, old) in [("answer", UInt8(41)), ("other", 51)] {
            guard let line = symbols.split(separator: "\n").first(where: { $0.hasSuffix(" T \(name)") }),
                let address = UInt64(line.prefix(16), radix: 16)
            else { throw CocoaError(.fileReadUnknown) }
            let patch = Self.patch(name, old, at: address, of: buildID)
            let bytes = try PatchWriter.write(patch) { SHA256.digest(of: $0).bytes }
            try Data(bytes).write(to: directory.url.appending(path: "\(name).moult"))
        }
    }

    private static func tool(_ name: String, _ arguments: [String]) throws -> String {
        let run = try CommandRun(URL(fileURLWithPath: "/usr/bin/\(name)"), arguments)
        guard run.exitCode == 0 else { throw CocoaError(.executableLoad, userInfo: ["error": run.error]) }
        return run.output
    }

    private static func patch(_ name: String, _ value: UInt8, at address: UInt64, of buildID: [UInt8]) -> Patch {
        func function(_ value: UInt8) -> [UInt8] { [0xf3, 0x0f, 0x1e, 0xfa, 0xb8, value, 0, 0, 0, 0xc3] }
        let gate: [UInt8] =
            [0x51]  // 16: push rcx
            + [0x48, 0x8b, 0x0d, 0, 0, 0, 0]  // 17: mov rcx, [rip + statePointer]
            + [0x48, 0x8b, 0x09]  // 24: mov rcx, [rcx]
            + [0xe3, 0x06]  // 27: jrcxz 35
            + [0x59]  // 29: pop rcx
            + [0xe9, 0xdd, 0xff, 0xff, 0xff]  // 30: jmp 0
            + [0x59]  // 35: pop rcx
            + function(value).prefix(9)  // 36: the old prologue
            + [0xe9, 0, 0, 0, 0]  // 45: jmp 9 bytes behind the old start
        return Patch(
            identifier: name,
            target: Target(
                buildID: buildID, name: "victim", package: "victim", packageVersion: "1", machine: 62),
            provenance: Provenance(
                cves: [], partOf: "", source: "victim", suite: "bookworm", vulnerableVersion: "1", fixedVersion: "2",
                reasons: [], inputs: []),
            verdict: .automatic,
            entries: [
                Entry(
                    name: name, address: address, expected: function(value), masked: [], prologue: [4, 5],
                    replacement: 0, replacementSize: 10, gate: Gate(offset: 16, size: 34, original: 36))
            ],
            image: Image(
                code: function(value + 1) + [UInt8](repeating: 0xcc, count: 6) + gate,
                constants: [UInt8](repeating: 0, count: 8), unwind: [0, 0, 0, 0],
                relocations: [
                    Relocation(offset: 20, kind: .relative32, destination: .image(64), addend: -4),
                    Relocation(offset: 46, kind: .relative32, destination: .target(address), addend: 5),
                ]),
            symbols: [], requires: [])
    }
}
