//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import DWARF
import ELF
import LivePatch
import PatchBuilding
import Testing

/// A real fix that changes a structure whose objects live in sessions.
@Suite(.serialized) struct OpenSSLLayoutTests {
    private func outcome(_ name: String) async throws -> (fix: PreparedFix, outcome: Outcome) {
        let path = OpenSSLBuildTests.directory + name + ".yaml"
        let fix = try await FixPreparation.prepare(
            recipe: try Recipe(path: path), build: try BuildRecipe(besideRecipe: path))
        let outcome = try LivePatchFactory.makePatch(
            shipped: fix.shipped, objects: fix.objects,
            description: PatchDescription(
                identifier: name, targetName: "target", package: "libssl3", packageVersion: fix.offer.vulnerable,
                provenance: Provenance(
                    cves: [name], partOf: "", source: "openssl", suite: "bookworm",
                    vulnerableVersion: fix.offer.vulnerable, fixedVersion: fix.offer.fixed.version, reasons: [],
                    inputs: [])),
            touchedHeaders: fix.touchedHeaders)
        return (fix, outcome)
    }

    @Test func changedStructure() async throws {
        let (fix, outcome) = try await outcome("CVE-2026-54874")
        #expect(fix.touchedHeaders == ["ssl/record/record.h", "ssl/record/record_local.h"])
        #expect(outcome.judgement.word == "review")
        #expect(outcome.functions.count == 11)
        let change = try #require(outcome.layoutChanges.first)
        #expect(outcome.layoutChanges.count == 1)
        #expect(change.subject == "struct dtls1_record_data_st")
        #expect(
            change.differences.map(\.description) == [
                "size 144 -> 96 bytes", "member rbuf (SSL3_BUFFER) is gone from offset 16",
                "member rrec: offset 64 -> offset 16",
            ])
        #expect(change.before == SourcePlace(file: "ssl/record/record.h", line: 85))
        #expect(change.functions.contains("dtls1_buffer_record"))
        #expect(outcome.judgement.reasons.map(\.code) == [.changedLayout, .functionsDependOnEachOther])

        // How long it takes depends on the machine; here it is only told.
        let clock = ContinuousClock()
        for object in fix.objects where change.objects.contains(object.name) {
            let time = try clock.measure {
                _ = try LayoutComparing.changes(pre: object.pre, post: object.post, name: object.name)
            }
            let reading = try clock.measure { _ = try DebugInformation(ELFFile(object.pre)) }
            print(object.name, "layouts compared in", time, "of it reading one object", reading)
        }
    }
}
