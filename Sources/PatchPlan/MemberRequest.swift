//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import LivePatch

/// One live patch that is to be a member of a transaction in one process.
package struct MemberRequest: Sendable, Equatable {
    /// The patch.
    package var patch: Patch
    /// SHA-256 of its file.
    package var digest: [UInt8]
    /// What is added to the target's addresses in this process.
    package var loadBias: UInt64

    /// Makes a request.
    package init(patch: Patch, digest: [UInt8], loadBias: UInt64) {
        self.patch = patch
        self.digest = digest
        self.loadBias = loadBias
    }

    /// The transaction that these members make: SHA-256 over the sorted digests and load biases, so the same
    /// patches in the same process always make the same one.
    package static func transaction(of members: [MemberRequest], sha256: Digester) -> [UInt8] {
        var keys: [[UInt8]] = []
        for member in members {
            var key = member.digest
            for index in 0..<8 { key.append(UInt8(truncatingIfNeeded: member.loadBias >> (8 * index))) }
            keys.append(key)
        }
        keys.sort { $0.lexicographicallyPrecedes($1) }
        return sha256(keys.flatMap { $0 })
    }
}

extension [MemberRequest] {
    /// The members in the order that a transaction has: by digest, then by load bias. The first one holds the state.
    package var inTransactionOrder: [MemberRequest] {
        sorted { first, second in
            first.digest == second.digest
                ? first.loadBias < second.loadBias : first.digest.lexicographicallyPrecedes(second.digest)
        }
    }

    /// The consistency that the whole transaction needs.
    ///
    /// `quiescent` if one member is, or if members need each other: then halves of one fix lie in two objects.
    package var verdict: Verdict {
        let names = Set(map(\.patch.identifier))
        for member in self {
            if member.patch.verdict == .quiescent { return .quiescent }
            if member.patch.requires.contains(where: { names.contains($0) && $0 != member.patch.identifier }) {
                return .quiescent
            }
        }
        return .automatic
    }

    /// Checks what needs no process: that each patch can be carried out at all, and that they fit together.
    ///
    /// - Parameter applied: identifiers of the patches that the process has already.
    /// - Throws: `Refusal`.
    package func check(applied: Set<String>) throws(Refusal) {
        let names = Set<String>(map(\.patch.identifier))
        let verdict = self.verdict
        var fixUps: [PlacedFixUp] = []
        let entryCount = reduce(0) { $0 + $1.patch.entries.count }
        for (index, member) in enumerated() {
            if self[..<index].contains(where: { $0.digest == member.digest && $0.loadBias == member.loadBias }) {
                throw Refusal(
                    .duplicatePatch, "\(member.patch.identifier) is given twice.", remedy: "Name each patch file once.")
            }
            for needed in member.patch.requires where !names.contains(needed) && !applied.contains(needed) {
                throw Refusal(
                    .requirementMissing,
                    "\(member.patch.identifier) needs \(needed), which is neither given nor applied.",
                    remedy: "Give the file of \(needed) in the same call.")
            }
            try member.patch.checkImage()
            try member.checkFixUps(apartFrom: fixUps)
            fixUps += member.unplacedFixUps
            for entry in member.patch.entries {
                let (address, overflow) = entry.address.addingReportingOverflow(member.loadBias)
                guard !overflow, address % 4096 <= 4096 - UInt64(Entry.overwrittenSize) else {
                    // A write over two pages can be cut in the middle when the applier is killed.
                    throw Refusal(
                        .entryCrossesPage, "The first bytes of \(entry.name) lie on two pages.",
                        remedy: "Restart the process with the fixed package.")
                }
                if entry.gate == nil, verdict == .quiescent, entryCount > 1 {
                    throw Refusal(
                        .gateMissing,
                        "\(entry.name) cannot get a gate, and its patch must switch \(entryCount) functions at once.",
                        remedy: "Restart the process with the fixed package.")
                }
            }
        }
        try checkEntriesApart()
    }
}

extension [MemberRequest] {
    /// Checks that no function is replaced by two members: the second jump would overwrite the first, and the
    /// transaction would be neither.
    private func checkEntriesApart() throws(Refusal) {
        var placed: [(range: AddressRange, name: String, member: Int)] = []
        for (index, member) in enumerated() {
            for entry in member.patch.entries {
                let start = entry.address &+ member.loadBias
                let range = AddressRange(lower: start, upper: start &+ UInt64(entry.expected.count))
                placed.append((range, entry.name, index))
            }
        }
        placed.sort { $0.range.lower < $1.range.lower }
        for (first, second) in zip(placed, placed.dropFirst())
        where first.member != second.member && first.range.overlaps(second.range) {
            throw Refusal(
                .replacedByOtherPatch,
                "\(second.name) is replaced by \(self[first.member].patch.identifier) and by "
                    + "\(self[second.member].patch.identifier).",
                remedy: "Give one of them, or a patch that holds both fixes.")
        }
    }
}

extension Patch {
    /// Checks that entries, gates and replacements lie in the image's code, and entries in order.
    func checkImage() throws(Refusal) {
        func invalid(_ what: String) -> Refusal {
            Refusal(.imageInvalid, "\(identifier) cannot be used: \(what).", remedy: "Build the patch again.")
        }
        guard !entries.isEmpty else { throw invalid("it replaces nothing") }
        guard image.size <= PatchMemory.maximumSize else {
            throw Refusal(
                .imageTooLarge, "\(identifier) has an image of \(image.size) bytes, more than a patch memory has.",
                remedy: "Split the patch.")
        }
        guard image.constants.count >= 8 else { throw invalid("it has no state-pointer slot") }
        let code = UInt64(image.code.count)
        var end: UInt64 = 0
        for entry in entries {
            guard entry.address >= end, entry.expected.count >= Entry.overwrittenSize else {
                throw invalid("\(entry.name) overlaps another function or is too short")
            }
            let (upper, overflow) = entry.address.addingReportingOverflow(UInt64(entry.expected.count))
            guard !overflow else { throw invalid("\(entry.name) has no possible address") }
            end = upper
            guard entry.replacementSize > 0, UInt64(entry.replacement) + UInt64(entry.replacementSize) <= code else {
                throw invalid("the replacement of \(entry.name) lies outside of the code")
            }
            for mask in entry.masked {
                guard UInt64(mask.offset) + UInt64(mask.length) <= UInt64(entry.expected.count),
                    mask.offset >= UInt32(Entry.overwrittenSize) || mask.length == 0
                else { throw invalid("\(entry.name) has a masked range where the jump goes") }
            }
            if let gate = entry.gate {
                guard gate.size > 0, UInt64(gate.offset) + UInt64(gate.size) <= code, gate.original >= gate.offset,
                    gate.original - gate.offset < gate.size
                else { throw invalid("the gate of \(entry.name) lies outside of the code") }
            }
        }
    }
}
