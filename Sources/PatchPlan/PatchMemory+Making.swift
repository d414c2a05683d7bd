//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import LivePatch

/// What is put into one patch memory.
package struct PatchMemoryContent: Sendable, Equatable {
    /// The header.
    package var memory: PatchMemory
    /// Header and image as bytes, complete with magic.
    package var bytes: [UInt8]
}

extension PatchMemory {
    /// The number of bytes that the patch memory of a member needs.
    ///
    /// - Parameters:
    ///   - request: the member.
    ///   - memberCount: how many members its transaction has.
    /// - Throws: `Refusal` (`imageTooLarge`).
    package static func size(of request: MemberRequest, memberCount: Int) throws(Refusal) -> Int {
        let draft = draft(of: request, at: 0, members: [UInt64](repeating: 0, count: memberCount), transaction: [])
        let size =
            try request.fitting { () throws(PatchMemoryError) in try draft.encodedHeaderSize() }
            + request.patch.image.size
        return try request.fitting { () throws(PatchMemoryError) in
            guard size <= maximumSize else { throw PatchMemoryError(.tooLarge, "Header and image need \(size) bytes.") }
            return size
        }
    }

    /// Makes the content of a member's patch memory.
    ///
    /// - Parameters:
    ///   - request: the member; its image was checked.
    ///   - address: where it goes.
    ///   - members: where all members go, in the transaction's order.
    ///   - verdict: the whole transaction's.
    ///   - transaction: its name.
    ///   - sha256: the digest.
    /// - Throws: `Refusal`: it does not fit or does not reach.
    package static func content(
        of request: MemberRequest, at address: UInt64, members: [UInt64], verdict: Verdict, transaction: [UInt8],
        sha256: Digester
    ) throws(Refusal) -> PatchMemoryContent {
        var memory = draft(of: request, at: address, members: members, transaction: transaction)
        memory.verdict = verdict
        let sized = memory
        memory.headerSize = UInt32(try request.fitting { () throws(PatchMemoryError) in try sized.encodedHeaderSize() })
        memory.placeEntries(of: request, sha256: sha256)
        for fixUp in memory.fixUps where fixUp.from == fixUp.to {
            // An address and a number that are the same here: nothing would tell whether it is set.
            throw Refusal(
                .imageInvalid, "\(request.patch.identifier) sets \(fixUp.name) to what is there.",
                remedy: "Build the patch again.")
        }
        let image = try request.patch.image.relocated(
            at: memory.imageAddress, loadBias: request.loadBias, stateAddress: memory.stateAddress)
        memory.imageDigest = sha256(image)
        for entry in memory.entries {
            // All jumps that will be written must reach.
            _ = try entry.jumpToReplacement()
            _ = try entry.jumpToGate()
        }
        let complete = memory
        let header = try request.fitting { () throws(PatchMemoryError) in try complete.encoded(sha256: sha256) }
        return PatchMemoryContent(memory: complete, bytes: header + image)
    }

    private static func draft(
        of request: MemberRequest, at address: UInt64, members: [UInt64], transaction: [UInt8]
    ) -> PatchMemory {
        let patch = request.patch
        var memory = PatchMemory(
            address: address, patchDigest: request.digest, transaction: transaction, members: members,
            buildID: patch.target.buildID, loadBias: request.loadBias, verdict: patch.verdict,
            machine: patch.target.machine, headerSize: 0, codeSize: UInt32(truncatingIfNeeded: patch.image.code.count),
            constantsOffset: UInt32(truncatingIfNeeded: patch.image.constantsOffset),
            unwindOffset: UInt32(truncatingIfNeeded: patch.image.unwindOffset),
            imageSize: UInt32(truncatingIfNeeded: patch.image.size), imageDigest: [], entries: [],
            fixUps: [],
            labels: Labels(
                identifier: patch.identifier, targetName: patch.target.name, package: patch.target.package,
                packageVersion: patch.target.packageVersion, cves: patch.provenance.cves,
                partOf: patch.provenance.partOf, requires: patch.requires))
        memory.placeEntries(of: request, sha256: nil)
        return memory
    }

    private mutating func placeEntries(of request: MemberRequest, sha256: Digester?) {
        fixUps = request.patch.fixUps.map {
            PlacedFixUp($0, loadBias: request.loadBias, imageAddress: imageAddress)
        }
        entries = []
        for entry in request.patch.entries {
            let replacement = imageAddress &+ UInt64(entry.replacement)
            entries.append(
                PlacedEntry(
                    name: entry.name, address: entry.address &+ request.loadBias,
                    size: UInt32(truncatingIfNeeded: entry.expected.count),
                    original: Array(entry.expected.prefix(PlacedEntry.originalSize)),
                    expectedDigest: sha256?(entry.expected.masking(entry.masked)) ?? [], masked: entry.masked,
                    replacement: AddressRange(lower: replacement, upper: replacement &+ UInt64(entry.replacementSize)),
                    gate: entry.gate.map { gate in
                        let start = imageAddress &+ UInt64(gate.offset)
                        return AddressRange(lower: start, upper: start &+ UInt64(gate.size))
                    },
                    gateOriginal: entry.gate.map { imageAddress &+ UInt64($0.original) } ?? 0))
        }
    }
}

extension MemberRequest {
    /// Turns what does not fit into a refusal.
    fileprivate func fitting<T>(_ body: () throws(PatchMemoryError) -> T) throws(Refusal) -> T {
        do {
            return try body()
        } catch {
            throw Refusal(
                .imageTooLarge, "\(patch.identifier) does not fit: \(error.reason)", remedy: "Split the patch.")
        }
    }
}

extension [UInt8] {
    /// The bytes with those in the ranges zero.
    package func masking(_ ranges: [MaskedRange]) -> [UInt8] {
        var bytes = self
        for range in ranges {
            let start = Int(range.offset)
            guard start < count else { continue }
            for index in start..<Swift.min(count, start + Int(range.length)) { bytes[index] = 0 }
        }
        return bytes
    }
}
