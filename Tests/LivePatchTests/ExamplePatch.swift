//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch

/// The worked example of Documentation/live-patch-format.md: `answer` returned 41 without looking; the new
/// one calls `check` of the target and returns 42.
enum Example {
    /// ```
    /// endbr64; mov eax, 41; ret
    /// ```
    static let old: [UInt8] = [0xf3, 0x0f, 0x1e, 0xfa, 0xb8, 0x29, 0, 0, 0, 0xc3]

    static let replacement: [UInt8] =
        [0xf3, 0x0f, 0x1e, 0xfa]  // 0: endbr64
        + [0x48, 0x83, 0xec, 0x08]  // 4: sub rsp, 8
        + [0xe8, 0, 0, 0, 0]  // 8: call check
        + [0x8b, 0x05, 0, 0, 0, 0]  // 13: mov eax, [rip + forty_two]
        + [0x48, 0x83, 0xc4, 0x08]  // 19: add rsp, 8
        + [0xc3]  // 23: ret

    static let gate: [UInt8] =
        [0x51]  // 32: push rcx
        + [0x48, 0x8b, 0x0d, 0, 0, 0, 0]  // 33: mov rcx, [rip + statePointer]
        + [0x48, 0x8b, 0x09]  // 40: mov rcx, [rcx]
        + [0xe3, 0x06]  // 43: jrcxz 51
        + [0x59]  // 45: pop rcx
        + [0xe9, 0xcd, 0xff, 0xff, 0xff]  // 46: jmp 0
        + [0x59]  // 51: pop rcx
        + [0xf3, 0x0f, 0x1e, 0xfa, 0xb8, 0x29, 0, 0, 0]  // 52: the old prologue
        + [0xe9, 0, 0, 0, 0]  // 61: jmp answer + 9

    static let unwind: [UInt8] =
        [0x14, 0, 0, 0, 0, 0, 0, 0, 1, 0x7a, 0x52, 0, 1, 0x78, 0x10, 1, 0x1b, 0x0c, 7, 8, 0x90, 1, 0, 0]  // CIE
        + [0x14, 0, 0, 0, 0x1c, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0, 0, 0]  // FDE of the replacement
        + [0x48, 0x0e, 16, 0x4f, 0x0e, 8, 0]
        + [0x1c, 0, 0, 0, 0x34, 0, 0, 0, 0, 0, 0, 0, 34, 0, 0, 0, 0]  // FDE of the gate
        + [0x41, 0x0e, 16, 0x4d, 0x0e, 8, 0x45, 0x0e, 16, 0x41, 0x0e, 8, 0, 0, 0]
        + [0, 0, 0, 0]

    static var patch: Patch {
        Patch(
            identifier: "CVE-2026-0001",
            target: Target(
                buildID: Array(0xa0...0xb3), name: "libanswer.so.1", package: "libanswer1", packageVersion: "1.0-1",
                machine: 62),
            provenance: Provenance(
                cves: ["CVE-2026-0001"], partOf: "", source: "answer", suite: "bookworm", vulnerableVersion: "1.0-1",
                fixedVersion: "1.0-2", reasons: ["The patch sets data (answers+8)."],
                waivers: [
                    Provenance.Waiver(
                        reason: "changed-data", object: "", subject: "answers", use: .old,
                        because: "the second answer is set")
                ],
                adaptation: Provenance.Adaptation(name: "forty-two.patch", because: "check is called first"),
                inputs: [
                    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 answer_1.0-2.dsc",
                    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 forty-two.patch",
                ]),
            verdict: .quiescent,
            entries: [
                Entry(
                    name: "answer", address: 0x1140, expected: old, masked: [], prologue: [4, 5], replacement: 0,
                    replacementSize: 24, gate: Gate(offset: 32, size: 34, original: 52))
            ],
            fixUps: [
                FixUp(
                    name: "answers+8", address: 0x3008, size: .eight, from: .address(.target(0x1140)),
                    to: .address(.image(0)), because: "nobody asks twice")
            ],
            image: Image(
                code: replacement + [UInt8](repeating: 0xcc, count: 8) + gate,
                constants: [UInt8](repeating: 0, count: 8) + [42, 0, 0, 0], unwind: unwind,
                relocations: [
                    Relocation(offset: 9, kind: .relative32, destination: .target(0x1120), addend: -4),
                    Relocation(offset: 15, kind: .relative32, destination: .image(88), addend: -4),
                    Relocation(offset: 36, kind: .relative32, destination: .image(80), addend: -4),
                    Relocation(offset: 62, kind: .relative32, destination: .target(0x1140), addend: 5),
                    Relocation(offset: 128, kind: .relative32, destination: .image(0), addend: 0),
                    Relocation(offset: 152, kind: .relative32, destination: .image(32), addend: 0),
                ]),
            symbols: [
                Symbol(name: "check", place: .target(0x1120), size: 16),
                Symbol(name: "forty_two", place: .image(88), size: 4),
            ],
            requires: [])
    }
}
