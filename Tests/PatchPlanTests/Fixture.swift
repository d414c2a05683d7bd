//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import LivePatch
import PatchPlan

/// SHA-256 as the applier uses it.
let sha256 = Digester { bytes in SHA256.digest(of: bytes.span.bytes).bytes }

/// A small generator of numbers: the same seed gives the same test.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// Makes patches that are sound in all but their machine code, which nothing here executes.
enum Fixture {
    static func patch(
        _ name: String, entries count: Int = 2, gateless: Set<Int> = [], verdict: Verdict = .quiescent,
        requires: [String] = [], base: UInt64 = 0x1000, relocations: [Relocation] = [],
        fixUps: [FixUp] = []
    ) -> Patch {
        var entries: [Entry] = []
        for index in 0..<count {
            let bytes = (0..<40).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ index &+ 1) }
            entries.append(
                Entry(
                    name: "\(name)_\(index)", address: base + UInt64(index) * 0x40, expected: bytes,
                    masked: index == 0 ? [MaskedRange(offset: 20, length: 4)] : [], prologue: [1, 4],
                    replacement: UInt32(index) * 64, replacementSize: 32,
                    gate: gateless.contains(index)
                        ? nil : Gate(offset: UInt32(index) * 64 + 32, size: 32, original: UInt32(index) * 64 + 52)))
        }
        return Patch(
            identifier: name,
            target: Target(
                buildID: (0..<20).map { UInt8($0) }, name: "libfixture.so.1", package: "libfixture1",
                packageVersion: "1.0-1", machine: 62),
            provenance: Provenance(
                cves: ["CVE-2026-0001", name], partOf: "", source: "fixture", suite: "bookworm",
                vulnerableVersion: "1.0", fixedVersion: "1.1", reasons: [], inputs: []),
            verdict: verdict, entries: entries, fixUps: fixUps,
            image: Image(
                code: [UInt8](repeating: 0xCC, count: 64 * max(count, 1)),
                constants: [UInt8](repeating: 0, count: 8) + Array("hello".utf8),
                unwind: [0, 0, 0, 0], relocations: relocations),
            symbols: [], requires: requires)
    }

    /// Data of all sizes: a number, an address of the target, one of the image.
    static func fixUps(at base: UInt64 = 0x5000) -> [FixUp] {
        [
            FixUp(
                name: "slot", address: base + 0x20, size: .eight, from: .address(.target(0x1040)),
                to: .address(.image(64)), because: "because"),
            FixUp(name: "flag", address: base, size: .one, from: .number(0), to: .number(1), because: "because"),
            FixUp(name: "count", address: base + 4, size: .four, from: .number(7), to: .number(9), because: "because"),
        ]
    }

    static func request(_ patch: Patch, bias: UInt64 = 0x7f00_0000_0000) -> MemberRequest {
        MemberRequest(patch: patch, digest: sha256(Array(patch.identifier.utf8)), loadBias: bias)
    }

    /// Patch memories of a transaction, 64 KiB apart below the objects.
    static func contents(of requests: [MemberRequest]) throws -> [PatchMemoryContent] {
        let ordered = requests.inTransactionOrder
        let addresses = ordered.indices.map { 0x7eff_fff0_0000 - UInt64($0) * 0x1_0000 }
        let transaction = MemberRequest.transaction(of: ordered, sha256: sha256)
        return try ordered.indices.map { index in
            try PatchMemory.content(
                of: ordered[index], at: addresses[index], members: addresses, verdict: ordered.verdict,
                transaction: transaction, sha256: sha256)
        }
    }
}

/// The memory of a process that is not there.
struct SimulatedMemory {
    var bytes: [UInt64: UInt8] = [:]

    mutating func put(_ values: [UInt8], at address: UInt64) {
        for (index, value) in values.enumerated() { bytes[address + UInt64(index)] = value }
    }

    func read(_ address: UInt64, _ count: Int) -> [UInt8] {
        (0..<UInt64(count)).map { bytes[address + $0] ?? 0 }
    }

    func word(_ address: UInt64) -> UInt64 { read(address, 8).word(at: 0) ?? 0 }

    /// What the applier would find.
    func found(_ members: [PatchMemory]) -> FoundTransaction {
        FoundTransaction(
            members: members, stateWord: word(members[0].stateAddress), historyWord: word(members[0].historyAddress),
            entryBytes: members.flatMap(\.entries).map { read($0.address, $0.original.count) },
            fixUpBytes: members.flatMap(\.fixUps).map { read($0.address, $0.size.count) })
    }

    /// What a thread that calls the old function executes: true for the new function.
    func executesNew(_ entry: PlacedEntry, state: UInt64) -> Bool? {
        let first = read(entry.address, 5)
        if first == Array(entry.original.prefix(5)) { return false }
        guard first[0] == 0xE9 else { return nil }
        let displacement = first[1...].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let destination = entry.address &+ 5 &+ UInt64(bitPattern: Int64(Int32(bitPattern: displacement)))
        if destination == entry.replacement.lower { return true }
        if let gate = entry.gate, destination == gate.lower {
            // The gate reads the word that the slot in the image points to.
            return word(state) != 0
        }
        return nil
    }
}
