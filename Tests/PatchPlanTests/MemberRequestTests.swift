//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import PatchPlan
import Testing

@Suite struct MemberRequestTests {
    private func reason(_ requests: [MemberRequest], applied: Set<String> = []) -> Refusal.Reason? {
        do throws(Refusal) {
            try requests.check(applied: applied)
            return nil
        } catch {
            return error.reason
        }
    }

    @Test func soundTransactionsPass() {
        #expect(
            reason([Fixture.request(Fixture.patch("one")), Fixture.request(Fixture.patch("two", base: 0x9000))]) == nil)
    }

    @Test func requirements() {
        let needy = Fixture.request(Fixture.patch("one", requires: ["two"]))
        #expect(reason([needy]) == .requirementMissing)
        #expect(reason([needy], applied: ["two"]) == nil)
        #expect(reason([needy, Fixture.request(Fixture.patch("two", base: 0x9000))]) == nil)
    }

    @Test func theSamePatchTwice() {
        let request = Fixture.request(Fixture.patch("one"))
        #expect(reason([request, request]) == .duplicatePatch)
        // Two copies of the library in one process are two members.
        #expect(reason([request, Fixture.request(Fixture.patch("one"), bias: 0x7f11_0000_0000)]) == nil)
    }

    /// The second jump would overwrite the first, and the transaction would end as neither.
    @Test func oneFunctionInTwoPatches() {
        let one = Fixture.request(Fixture.patch("one"))
        #expect(reason([one, Fixture.request(Fixture.patch("two"))]) == .replacedByOtherPatch)
        #expect(reason([one, Fixture.request(Fixture.patch("two", base: 0x1058))]) == .replacedByOtherPatch)
        #expect(reason([one, Fixture.request(Fixture.patch("two", base: 0x1068))]) == nil)
        #expect(reason([one, Fixture.request(Fixture.patch("two"), bias: 0x7f11_0000_0000)]) == nil)
    }

    @Test func gatesAreNeededWhereMixturesAreNotSafe() {
        #expect(reason([Fixture.request(Fixture.patch("one", gateless: [0]))]) == .gateMissing)
        #expect(reason([Fixture.request(Fixture.patch("one", gateless: [0], verdict: .automatic))]) == nil)
        #expect(reason([Fixture.request(Fixture.patch("one", entries: 1, gateless: [0]))]) == nil)
        // Halves of one fix in two objects must switch together.
        let halves = [
            Fixture.request(Fixture.patch("one", gateless: [0], verdict: .automatic, requires: ["two"])),
            Fixture.request(Fixture.patch("two", verdict: .automatic, base: 0x9000)),
        ]
        #expect(reason(halves) == .gateMissing)
        #expect(halves.verdict == .quiescent)
        #expect([halves[1]].verdict == .automatic)
    }

    @Test func entriesOnTwoPages() {
        for (offset, expected) in [(0xFFB, nil), (0xFFC, Refusal.Reason.entryCrossesPage), (0xFFF, .entryCrossesPage)] {
            let patch = Fixture.patch("one", entries: 1, base: 0x1000 + UInt64(offset))
            #expect(reason([Fixture.request(patch)]) == expected)
        }
    }

    @Test func imagesThatCannotBe() {
        var patch = Fixture.patch("one")
        patch.entries[1].replacement = 100
        patch.entries[1].replacementSize = 1000
        #expect(reason([Fixture.request(patch)]) == .imageInvalid)
        patch = Fixture.patch("one")
        patch.entries[0].gate = Gate(offset: .max, size: .max, original: .max)
        #expect(reason([Fixture.request(patch)]) == .imageInvalid)
        patch = Fixture.patch("one")
        patch.entries[1].address = patch.entries[0].address + 1
        #expect(reason([Fixture.request(patch)]) == .imageInvalid)
        patch = Fixture.patch("one")
        patch.image.code = [UInt8](repeating: 0, count: 17000)
        #expect(reason([Fixture.request(patch)]) == .imageTooLarge)
        patch = Fixture.patch("one", entries: 0)
        #expect(reason([Fixture.request(patch)]) == .imageInvalid)
        patch = Fixture.patch("one")
        patch.entries[0].masked = [MaskedRange(offset: 2, length: 4)]
        #expect(reason([Fixture.request(patch)]) == .imageInvalid)
    }

    @Test func functionsAreComparedWhole() throws {
        let request = Fixture.request(Fixture.patch("one"))
        let entry = request.patch.entries[0]
        #expect(try request.fit(of: entry, bytes: entry.expected) == .original)
        for offset in entry.expected.indices {
            var bytes = entry.expected
            bytes[offset] ^= 0x10
            if (20..<24).contains(offset) {
                #expect(try request.fit(of: entry, bytes: bytes) == .original)
            } else {
                #expect(throws: Refusal.self, "byte \(offset)") { try request.fit(of: entry, bytes: bytes) }
            }
        }
        var jump = entry.expected
        jump.replaceSubrange(0..<5, with: [0xE9, 0x10, 0, 0, 0])
        #expect(try request.fit(of: entry, bytes: jump) == .jump(entry.address + request.loadBias + 0x15))
        #expect(throws: Refusal.self) { try request.fit(of: entry, bytes: Array(entry.expected.dropLast())) }
    }
}
