//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Commands
import LivePatch
import PatchPlan
import ProcessInspection
import ProcessObservation
import Testing

@Suite("What status says")
struct AppliedStatusTests {
    private func status(
        _ processes: [ObservedProcess], _ wanted: [WantedPatch] = [], unobserved: [UnobservedProcess] = []
    ) -> AppliedStatus {
        AppliedStatus(Observation(processes: processes, unobserved: unobserved), wanted: wanted)
    }

    @Test("exit codes are those of the documentation")
    func exitCodes() {
        let codes = AppliedStatus.Result.allCases.map(\.exitCode.rawValue)
        #expect(codes == [0, 10, 11, 12, 13])
    }

    @Test("applied in every process that maps the target")
    func newest() {
        let status = status(
            [
                Samples.process(1, [Samples.object("a")], [Samples.patch("P", for: "a")]),
                Samples.process(2, [Samples.object("a"), Samples.object("b")], [Samples.patch("P", for: "a")]),
                Samples.process(3, [Samples.object("b")]),
            ], [Samples.wanted("P", for: "a")])
        #expect(status.result == .newestApplied)
        #expect(status.lines.map(\.applied.count) == [2])
        #expect(status.lines.map(\.count) == [2])
        #expect(status.processes.map(\.instance.pid) == [1, 2])
    }

    @Test("k of n is partly, never applied")
    func partly() {
        let status = status(
            [
                Samples.process(1, [Samples.object("a")], [Samples.patch("P", for: "a")]),
                Samples.process(2, [Samples.object("a")]),
            ], [Samples.wanted("P", for: "a")])
        #expect(status.result == .partly)
        #expect(status.lines.map(\.missing).map { $0.map(\.pid) } == [[2]])
    }

    @Test("without files, what is found in one process is missed in others with the same build")
    func foundOnly() {
        let both = [
            Samples.process(1, [Samples.object("a")], [Samples.patch("P", for: "a")]),
            Samples.process(2, [Samples.object("a")]),
        ]
        #expect(status(both).result == .partly)
        #expect(status([both[0]]).result == .newestApplied)
        #expect(status([both[1]]).result == .nothingApplied)
        #expect(status([]).result == .nothingApplied)
    }

    @Test("nothing applied, and nothing that could be")
    func nothing() {
        let plain = [Samples.process(1, [Samples.object("a")])]
        #expect(status(plain, [Samples.wanted("P", for: "a")]).result == .nothingApplied)
        #expect(status(plain, [Samples.wanted("P", for: "b")]).result == .notSupported)
        #expect(status([], [Samples.wanted("P", for: "b")]).result == .notSupported)
    }

    @Test("a given patch that fits and is not there, beside another that is: a newer one is waiting")
    func newer() {
        let processes = [Samples.process(1, [Samples.object("a")], [Samples.patch("P", for: "a")])]
        let both = [Samples.wanted("P", for: "a"), Samples.wanted("Q", for: "a")]
        #expect(status(processes, both).result == .newerWaiting)
        #expect(status(processes, [Samples.wanted("Q", for: "a")]).result == .newerWaiting)
        #expect(status(processes, [both[0]]).result == .newestApplied)
        // A patch for a build that nobody maps waits for nobody.
        #expect(status(processes, [both[0], Samples.wanted("R", for: "z")]).result == .newestApplied)
    }

    @Test("one name, another file: it is not the given patch")
    func sameNameOtherFile() {
        var other = Samples.wanted("P", for: "a")
        other.digest = Samples.digest("rebuilt")
        let processes = [Samples.process(1, [Samples.object("a")], [Samples.patch("P", for: "a")])]
        #expect(status(processes, [other]).result == .newerWaiting)
    }

    @Test(
        "half-way is partly", arguments: [TransactionState.halfGated, .committed, .halfDirect, .mixed, .altered])
    func halfWay(state: TransactionState) {
        let processes = [Samples.process(1, [Samples.object("a")], [Samples.patch("P", for: "a", state)])]
        #expect(status(processes, [Samples.wanted("P", for: "a")]).result == .partly)
        #expect(status(processes).result == .partly)
    }

    @Test("undone and never begun is not applied", arguments: [TransactionState.undone, .prepared, .absent])
    func gone(state: TransactionState) {
        let processes = [Samples.process(1, [Samples.object("a")], [Samples.patch("P", for: "a", state)])]
        #expect(status(processes, [Samples.wanted("P", for: "a")]).result == .nothingApplied)
        #expect(status(processes).result == .nothingApplied)
        #expect(status(processes).lines.isEmpty)
    }

    @Test("a library that is loaded twice is patched twice or not at all")
    func twice() {
        let objects = [Samples.object("a"), Samples.object("a", bias: 0x50_0000)]
        let one = [Samples.patch("P", for: "a")]
        let two = one + [Samples.patch("P", for: "a", bias: 0x50_0000)]
        let wanted = [Samples.wanted("P", for: "a")]
        #expect(status([Samples.process(1, objects, one)], wanted).result == .partly)
        #expect(status([Samples.process(1, objects, two)], wanted).result == .newestApplied)
    }

    @Test("who could not be looked at is not counted as patched")
    func unobserved() {
        let processes = [Samples.process(1, [Samples.object("a")], [Samples.patch("P", for: "a")])]
        let wanted = [Samples.wanted("P", for: "a")]
        #expect(status(processes, wanted, unobserved: [Samples.denied]).result == .partly)
        #expect(status([], wanted, unobserved: [Samples.denied]).result == .notSupported)
    }

    @Test("patch memory that claims a digest and lies about the rest is not believed")
    func liar() {
        let wanted = [Samples.wanted("P", for: "a")]
        var otherBuild = Samples.patch("P", for: "b")
        otherBuild.memory.patchDigest = Samples.digest("P")
        let otherPlace = Samples.patch("P", for: "a", entry: 0x90_0000)
        let otherBias = Samples.patch("P", for: "a", bias: 0x10_0010)
        for patch in [otherBuild, otherPlace, otherBias] {
            let status = status([Samples.process(1, [Samples.object("a")], [patch])], wanted)
            #expect(status.lines.first?.applied.isEmpty == true)
            #expect(status.result != .newestApplied)
        }
    }

    @Test("kernel threads count for nothing, a file given twice counts once")
    func oddities() {
        let processes = [
            Samples.process(1, [Samples.object("a")], [Samples.patch("P", for: "a")]),
            Samples.process(2, [Samples.object("a")], isKernelThread: true),
        ]
        let wanted = Samples.wanted("P", for: "a")
        let status = status(processes, [wanted, wanted])
        #expect(status.result == .newestApplied)
        #expect(status.lines.count == 1)
    }
}
