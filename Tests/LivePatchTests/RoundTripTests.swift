//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import LivePatch
import Testing

@Suite struct RoundTripTests {
    @Test func example() throws {
        let file = try write(Example.patch)
        #expect(try read(file) == Example.patch)
        #expect(try WholeFile.verify(file.span.bytes).bytes == Array(file.suffix(32)))
    }

    /// What is written is read as the same patch, and writing that again gives the same bytes.
    @Test(arguments: 0..<200 as Range<UInt64>)
    func randomPatches(seed: UInt64) throws {
        var generator = PatchGenerator(seed: seed)
        let patch = generator.patch()
        let file = try write(patch)
        let again = try read(file)
        #expect(again == patch)
        #expect(try write(again) == file)
    }

    /// 300 different patches have 300 different files: nothing of the model is left out of the file.
    @Test func everyFieldShowsInTheFile() throws {
        let base = try write(Example.patch)
        for (name, change) in Self.changes {
            var patch = Example.patch
            change(&patch)
            let file = try write(patch)
            #expect(file != base, "\(name)")
            #expect(try read(file) == patch, "\(name)")
        }
    }

    private static let waiver = Provenance.Waiver(
        reason: "changed-data", object: "a.o", subject: "table", use: .old, because: "only shown")

    private static let other = FixUp(
        name: "other", address: 0x4000, size: .one, from: .number(0), to: .number(255), because: "one byte")

    private static func changedWaiver(
        _ change: @escaping @Sendable (inout Provenance.Waiver) -> Void
    ) -> @Sendable (inout Patch) -> Void {
        { patch in
            var other = waiver
            change(&other)
            patch.provenance.waivers = [other]
        }
    }

    private static let changes: [(String, @Sendable (inout Patch) -> Void)] = [
        ("identifier", { $0.identifier = "CVE-2026-0002" }),
        ("build-id", { $0.target.buildID[19] ^= 1 }),
        ("target name", { $0.target.name = "libother.so" }),
        ("package", { $0.target.package = "other" }),
        ("package version", { $0.target.packageVersion = "2" }),
        ("cves", { $0.provenance.cves = [] }),
        ("part of", { $0.provenance.partOf = "1 of 2: the parser" }),
        ("source", { $0.provenance.source = "x" }),
        ("suite", { $0.provenance.suite = "trixie" }),
        ("vulnerable version", { $0.provenance.vulnerableVersion = "0" }),
        ("fixed version", { $0.provenance.fixedVersion = "9" }),
        ("reasons", { $0.provenance.reasons += ["another"] }),
        ("inputs", { $0.provenance.inputs[0] = "sha256:00 other.dsc" }),
        ("waiver", { $0.provenance.waivers = [waiver] }),
        ("waived reason", changedWaiver { $0.reason = "removed-data" }),
        ("waived object", changedWaiver { $0.object = "other.o" }),
        ("waived subject", changedWaiver { $0.subject = "other" }),
        ("used contents", changedWaiver { $0.use = .new }),
        ("no contents used", changedWaiver { $0.use = nil }),
        ("sentence", changedWaiver { $0.because = "other" }),
        (
            "adaptation",
            { $0.provenance.adaptation = .init(name: "answer_1.0-2.dsc", because: "of its structure") }
        ),
        (
            "no adaptation", { $0.provenance.adaptation = nil }
        ),
        ("verdict", { ($0.verdict, $0.fixUps) = (.automatic, []) }),
        ("no fix-up", { $0.fixUps = [] }),
        ("another fix-up", { $0.fixUps.append(other) }),
        ("order of fix-ups", { $0.fixUps.insert(other, at: 0) }),
        ("fix-up name", { $0.fixUps[0].name = "questions" }),
        ("fix-up address", { $0.fixUps[0].address += 8 }),
        ("fix-up size", { ($0.fixUps[0].size, $0.fixUps[0].from, $0.fixUps[0].to) = (.four, .number(1), .number(2)) }),
        ("fix-up from", { $0.fixUps[0].from = .address(.target(0x1141)) }),
        ("fix-up from a number", { $0.fixUps[0].from = .number(0x1140) }),
        ("fix-up to", { $0.fixUps[0].to = .address(.image(1)) }),
        ("fix-up to the target", { $0.fixUps[0].to = .address(.target(0)) }),
        ("fix-up to a number", { $0.fixUps[0].to = .number(0) }),
        ("fix-up sentence", { $0.fixUps[0].because = "x" }),
        ("requires", { $0.requires = ["CVE-2026-0003"] }),
        ("entry name", { $0.entries[0].name = "question" }),
        ("entry address", { $0.entries[0].address = 0x1150 }),
        ("entry bytes", { $0.entries[0].expected[9] ^= 1 }),
        ("entry masks", { $0.entries[0].masked = [MaskedRange(offset: 9, length: 1)] }),
        ("entry prologue", { $0.entries[0].prologue = [4, 6] }),
        ("replacement", { $0.entries[0].replacement = 4 }),
        ("replacement size", { $0.entries[0].replacementSize = 23 }),
        ("no gate", { $0.entries[0].gate = nil }),
        ("gate offset", { $0.entries[0].gate?.offset = 31 }),
        ("gate size", { $0.entries[0].gate?.size = 33 }),
        ("gate original", { $0.entries[0].gate?.original = 53 }),
        ("code", { $0.image.code[24] = 0x90 }),
        ("constants", { $0.image.constants[8] = 43 }),
        ("unwind", { $0.image.unwind[83] = 1 }),
        ("relocation offset", { $0.image.relocations[0].offset = 8 }),
        ("relocation kind", { $0.image.relocations[2].kind = .absolute64 }),
        ("relocation destination", { $0.image.relocations[0].destination = .target(0x1121) }),
        ("relocation addend", { $0.image.relocations[0].addend = -5 }),
        ("symbol name", { $0.symbols[0].name = "test" }),
        ("symbol place", { $0.symbols[0].place = .target(0x1122) }),
        ("symbol size", { $0.symbols[0].size = 17 }),
        ("symbols", { $0.symbols.swapAt(0, 1) }),
    ]
}
