//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Commands
import Foundation
import PatchPlan
import ProcessObservation
import StrictJSON
import Testing

@testable import ProcessInspection

@Suite("Reports")
struct ReportTests {
    private let observation = Observation(
        processes: [
            Samples.process(
                7, [Samples.object("a", isDeleted: true), Samples.object("b")], [Samples.patch("CVE-2026-1", for: "a")],
                name: "evil\u{1b}[2J"),
            Samples.process(
                8, [Samples.object("a")],
                reasons: [
                    Patchability.Reason(obstacle: .tracedByOther, text: "process 3 traces it", remedy: "End it.")
                ], notCovered: NotCovered(isGo: true, isJava: false)),
            Samples.process(2, [], isKernelThread: true),
        ], unobserved: [Samples.denied])

    private func parse(_ value: JSONValue) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(value.canonicalText.utf8)) as? [String: Any])
    }

    @Test("targets in text: what is patched, deleted, not patchable and why, and what is not covered")
    func targetsText() {
        let letters = String(repeating: "61", count: 20)
        #expect(
            TargetsReport(observation, isExplaining: false).lines == [
                "7 evil\u{1b}[2J: 2 threads, patchable",
                "  \(letters) /usr/lib/liba.so (deleted or replaced on disk) [CVE-2026-1: applied]",
                "  \(String(repeating: "62", count: 20)) /usr/lib/libb.so",
                "8 server: 2 threads, not patchable, not covered inside: go",
                "  being-traced: process 3 traces it",
                "  \(letters) /usr/lib/liba.so",
                "99: not looked at: no-permission: the kernel refuses",
                "processes: 2; threads of the kernel, not listed: 1",
            ] + Coverage.lines)
    }

    @Test("--explain adds remedies")
    func explanation() {
        let lines = TargetsReport(observation, isExplaining: true).lines
        #expect(lines.contains("    remedy: End it."))
        #expect(!TargetsReport(observation, isExplaining: false).lines.contains("    remedy: End it."))
    }

    @Test("targets in JSON")
    func targetsJSON() throws {
        let document = try parse(TargetsReport(observation, isExplaining: false).json)
        #expect(document["schema"] as? String == "moult.targets/1")
        #expect(document["kernel-threads"] as? Int == 1)
        let processes = try #require(document["processes"] as? [[String: Any]])
        #expect(processes.map { $0["patchable"] as? Bool } == [true, false])
        let builds = try #require(processes.first?["builds"] as? [[String: Any]])
        #expect(builds.map { $0["patched"] as? [String] } == [["CVE-2026-1"], []])
        #expect(builds.map { $0["deleted"] as? Bool } == [true, false])
        let reasons = try #require(processes.last?["reasons"] as? [[String: String]])
        #expect(reasons == [["reason": "being-traced", "message": "process 3 traces it", "remedy": "End it."]])
        let gaps = try #require(document["not-covered"] as? [[String: String]])
        #expect(gaps.map { $0["name"] } == ["kernel", "go", "java", "bundled-copies"])
    }

    @Test("status in JSON names k, n and who is missing")
    func statusJSON() throws {
        let status = AppliedStatus(observation, wanted: [Samples.wanted("CVE-2026-1", for: "a")])
        let document = try parse(StatusReport(status, isExplaining: false).json)
        #expect(document["schema"] as? String == "moult.status/1")
        #expect(document["result"] as? String == "partly")
        #expect(document["exit-code"] as? Int == 13)
        let patch = try #require((document["patches"] as? [[String: Any]])?.first)
        #expect(patch["applied"] as? Int == 1)
        #expect(patch["of"] as? Int == 2)
        #expect(patch["missing-in"] as? [String] == [observation.processes[1].instance.identifier])
    }

    @Test("status in text")
    func statusText() {
        let status = AppliedStatus(observation, wanted: [Samples.wanted("CVE-2026-1", for: "a")])
        #expect(
            StatusReport(status, isExplaining: false).lines == [
                "CVE-2026-1 for liba.so \(String(repeating: "61", count: 20)): applied in 1 of 2 processes",
                "  not applied in 8 server",
                "99: not looked at: no-permission: the kernel refuses",
                "partly applied",
            ])
    }
}
