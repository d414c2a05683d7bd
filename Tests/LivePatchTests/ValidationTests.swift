//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import Testing

/// One change each that makes a patch wrong: neither written nor read.
@Suite struct ValidationTests {
    @Test func theExampleIsValid() throws {
        try Example.patch.validate()
    }

    @Test func wrongPatches() {
        for (name, expected, change) in Self.changes {
            var patch = Example.patch
            change(&patch)
            do throws(PatchFormatError) {
                try patch.validate()
                Issue.record("accepted: \(name)")
            } catch {
                #expect(error.code == expected, "\(name)")
            }
            #expect(throws: PatchFormatError.self, "\(name)") { try write(patch) }
        }
    }

    private typealias Change = (String, PatchFormatError.Code, @Sendable (inout Patch) -> Void)

    private static let changes: [Change] = targets + entries + images + symbols + fixUps

    private static func waivers(
        _ change: @escaping @Sendable (inout [Provenance.Waiver]) -> Void
    ) -> @Sendable (inout Patch) -> Void {
        { patch in
            patch.provenance.waivers = [
                Provenance.Waiver(reason: "changed-data", object: "", subject: "table", use: nil, because: "only shown")
            ]
            change(&patch.provenance.waivers)
        }
    }

    private static let targets: [Change] = [
        ("machine", .unsupportedMachine, { $0.target.machine = 183 }),
        ("short build-id", .inconsistent, { $0.target.buildID = [1, 2, 3] }),
        ("long build-id", .inconsistent, { $0.target.buildID = [UInt8](repeating: 1, count: 65) }),
        ("no identifier", .inconsistent, { $0.identifier = "" }),
        ("identifier with a space", .inconsistent, { $0.identifier = "CVE 1" }),
        ("identifier of other letters", .inconsistent, { $0.identifier = "CVE-é" }),
        ("long identifier", .inconsistent, { $0.identifier = String(repeating: "x", count: 129) }),
        ("requires itself", .inconsistent, { $0.requires = ["CVE-2026-0001"] }),
        ("requires twice", .inconsistent, { $0.requires = ["a", "b", "a"] }),
        ("requires too many", .tooLarge, { $0.requires = (0...64).map { "CVE-\($0)" } }),
        ("escape in a text", .inconsistent, { $0.provenance.reasons = ["\u{1b}[2J"] }),
        ("C1 in a text", .inconsistent, { $0.target.name = "\u{9b}" }),
        ("NUL in a text", .inconsistent, { $0.provenance.suite = "a\0b" }),
        ("unsorted CVEs", .inconsistent, { $0.provenance.cves = ["b", "a"] }),
        ("a CVE twice", .inconsistent, { $0.provenance.cves = ["a", "a"] }),
        ("waiver without a reason", .inconsistent, waivers { $0[0].reason = "" }),
        ("waiver without a subject", .inconsistent, waivers { $0[0].subject = "" }),
        ("waiver without a sentence", .inconsistent, waivers { $0[0].because = "" }),
        ("waiver with a NUL", .inconsistent, waivers { $0[0].because = "a\0b" }),
        ("waiver with an escape", .inconsistent, waivers { $0[0].subject = "\u{1b}[2J" }),
        ("the same waiver twice", .inconsistent, waivers { $0.append($0[0]) }),
        ("too many waivers", .tooLarge, waivers { $0 = [Provenance.Waiver](repeating: $0[0], count: 65) }),
        ("adaptation without its input", .inconsistent, { $0.provenance.adaptation = .init(name: "x", because: "y") }),
        (
            "adaptation without a sentence", .inconsistent,
            { $0.provenance.adaptation = .init(name: "answer_1.0-2.dsc", because: "") }
        ),
        ("unsorted inputs", .inconsistent, { $0.provenance.inputs = ["b", "a"] }),
    ]

    private static let fixUps: [Change] = [
        ("too many fix-ups", .tooLarge, { $0.fixUps = [FixUp](repeating: $0.fixUps[0], count: 17) }),
        ("fix-ups without quiescence", .inconsistent, { $0.verdict = .automatic }),
        ("fix-up without a name", .inconsistent, { $0.fixUps[0].name = "" }),
        ("fix-up without a sentence", .inconsistent, { $0.fixUps[0].because = "" }),
        ("fix-up with an escape", .inconsistent, { $0.fixUps[0].because = "\u{1b}[2J" }),
        ("fix-up that is not aligned", .inconsistent, { $0.fixUps[0].address += 4 }),
        ("fix-up behind the address space", .inconsistent, { $0.fixUps[0].address = 1 << 47 }),
        ("fix-up without a change", .inconsistent, { $0.fixUps[0].to = $0.fixUps[0].from }),
        (
            "fix-up of too large a number", .inconsistent,
            { ($0.fixUps[0].size, $0.fixUps[0].from, $0.fixUps[0].to) = (.one, .number(1), .number(256)) }
        ),
        ("address in four bytes", .inconsistent, { ($0.fixUps[0].size, $0.fixUps[0].to) = (.four, .number(1)) }),
        ("fix-up to an address that cannot be", .inconsistent, { $0.fixUps[0].to = .address(.target(1 << 47)) }),
        ("fix-up to a constant", .inconsistent, { $0.fixUps[0].to = .address(.image(88)) }),
        ("fix-up from the image", .inconsistent, { $0.fixUps[0].from = .address(.image(4)) }),
        ("the same fix-up twice", .inconsistent, { $0.fixUps.append($0.fixUps[0]) }),
        ("fix-up in a function", .inconsistent, { $0.fixUps[0].address = 0x1148 }),
        (
            "fix-ups that overlap", .inconsistent,
            {
                var other = $0.fixUps[0]
                (other.size, other.address, other.from, other.to) = (.two, 0x300e, .number(0), .number(1))
                $0.fixUps.append(other)
            }
        ),
    ]

    private static let entries: [Change] = [
        ("no entries", .inconsistent, { $0.entries = [] }),
        (
            "the same entry twice", .inconsistent,
            {
                var other = $0.entries[0]
                other.gate = nil
                other.replacement = 24
                other.replacementSize = 1
                $0.entries.append(other)
            }
        ),
        (
            "unsorted entries", .inconsistent,
            {
                var other = $0.entries[0]
                other.gate = nil
                other.replacement = 24
                other.replacementSize = 1
                other.address = 0x1000
                $0.entries.append(other)
            }
        ),
        ("nameless entry", .inconsistent, { $0.entries[0].name = "" }),
        ("reserved name", .inconsistent, { $0.entries[0].name = ".Lmoult.x" }),
        ("entry behind the address space", .inconsistent, { $0.entries[0].address = 1 << 47 }),
        ("entry at the end of all numbers", .inconsistent, { $0.entries[0].address = .max }),
        ("short prologue", .inconsistent, { $0.entries[0].prologue = [4] }),
        ("no prologue", .inconsistent, { $0.entries[0].prologue = [] }),
        ("prologue with too much", .inconsistent, { $0.entries[0].prologue = [4, 5, 1] }),
        ("empty instruction", .inconsistent, { $0.entries[0].prologue = [4, 0, 5] }),
        ("instruction of 16 bytes", .inconsistent, { $0.entries[0].prologue = [4, 16] }),
        ("prologue longer than the function", .inconsistent, { $0.entries[0].prologue = [4, 7] }),
        ("function too short", .inconsistent, { $0.entries[0].expected = [1, 2, 3, 4] }),
        ("empty mask", .inconsistent, { $0.entries[0].masked = [MaskedRange(offset: 9, length: 0)] }),
        ("mask outside", .inconsistent, { $0.entries[0].masked = [MaskedRange(offset: 9, length: 2)] }),
        ("mask far outside", .inconsistent, { $0.entries[0].masked = [MaskedRange(offset: .max, length: .max)] }),
        ("mask in a gate's prologue", .inconsistent, { $0.entries[0].masked = [MaskedRange(offset: 5, length: 4)] }),
        (
            "overlapping masks", .inconsistent,
            {
                $0.entries[0].gate = nil
                $0.entries[0].masked = [MaskedRange(offset: 5, length: 4), MaskedRange(offset: 8, length: 1)]
            }
        ),
        ("empty replacement", .inconsistent, { $0.entries[0].replacementSize = 0 }),
        ("replacement outside", .inconsistent, { $0.entries[0].replacement = 43 }),
        ("replacement far outside", .inconsistent, { $0.entries[0].replacement = .max }),
        ("replacement over the gate", .inconsistent, { $0.entries[0].replacementSize = 33 }),
        ("gate outside", .inconsistent, { $0.entries[0].gate?.size = 35 }),
        ("gate without an old way", .inconsistent, { $0.entries[0].gate?.original = 32 }),
        ("gate with its old way outside", .inconsistent, { $0.entries[0].gate?.original = 66 }),
    ]

    private static let images: [Change] = [
        ("no state-pointer slot", .inconsistent, { $0.image.constants = [] }),
        ("full state-pointer slot", .inconsistent, { $0.image.constants[7] = 1 }),
        ("too large", .tooLarge, { $0.image.unwind = [UInt8](repeating: 0, count: 256 << 10) }),
        ("unsorted relocations", .inconsistent, { $0.image.relocations.swapAt(0, 1) }),
        ("overlapping relocations", .inconsistent, { $0.image.relocations[1].offset = 12 }),
        ("relocation over the code's end", .inconsistent, { $0.image.relocations[3].offset = 63 }),
        ("relocation in padding", .inconsistent, { $0.image.relocations[3].offset = 68 }),
        ("relocation of the slot", .inconsistent, { $0.image.relocations[3].offset = 84 }),
        ("relocation behind the image", .inconsistent, { $0.image.relocations[5].offset = 180 }),
        ("relocation far behind the image", .inconsistent, { $0.image.relocations[5].offset = .max }),
        ("destination in padding", .inconsistent, { $0.image.relocations[1].destination = .image(70) }),
        ("destination behind the image", .inconsistent, { $0.image.relocations[1].destination = .image(181) }),
        ("destination behind the target", .inconsistent, { $0.image.relocations[0].destination = .target(1 << 47) }),
    ]

    private static let symbols: [Change] = [
        ("nameless symbol", .inconsistent, { $0.symbols[0].name = "" }),
        ("too long names", .tooLarge, { $0.symbols[0].name = String(repeating: "x", count: (4 << 20) + 1) }),
        ("reserved symbol", .inconsistent, { $0.symbols[0].name = ".Lmoult.target.1120" }),
        ("symbol behind the target", .inconsistent, { $0.symbols[0].place = .target(.max) }),
        ("symbol longer than the target", .inconsistent, { $0.symbols[0].size = .max }),
        ("symbol longer than its part", .inconsistent, { $0.symbols[1].size = 5 }),
        ("symbol in padding", .inconsistent, { $0.symbols[1].place = .image(95) }),
    ]
}
