//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import MachineCode
import PatchPlan
import ProcessInspection

/// A transaction whose patch memory is filled and whose old functions were compared, before the stop.
struct PreparedTransaction {
    /// One mapping that must still be there in the stop.
    struct Place {
        /// Where.
        var address: UInt64
        /// What was mapped there.
        var mapping: Mapping
        /// Whether it is a datum, and not code.
        var isDatum = false
    }

    /// The members, in the transaction's order.
    var members: [PatchMemory]
    /// Header and image of each, as they must lie in memory (but for state and history word).
    var contents: [[UInt8]]
    /// The old functions as they were found, in the order of the members' entries.
    var functions: [[UInt8]]
    /// The mappings that hold old functions and patch memories.
    var places: [Place]

    var entries: [PlacedEntry] { members.flatMap(\.entries) }
    var fixUps: [PlacedFixUp] { members.flatMap(\.fixUps) }

    /// What is read in the stop: state and history word, the patch memories, the old functions, then the fix-ups.
    var ranges: [Range<UInt64>] {
        let words = members.first?.stateAddress ?? 0
        return [words..<(words &+ 16)]
            + members.map { $0.range.lower..<$0.range.upper }
            + entries.map { $0.address..<($0.address &+ UInt64($0.size)) }
            + fixUps.map { $0.range.lower..<$0.range.upper }
    }

    /// Checks what was read in the stop against what was prepared.
    ///
    /// - Parameter bytes: the contents of `ranges`.
    /// - Returns: the transaction as it is.
    /// - Throws: `PatchingError` where something changed since it was prepared.
    func found(in bytes: [[UInt8]]) throws(PatchingError) -> FoundTransaction {
        let entries = self.entries
        let dataIndex = 1 + members.count + entries.count
        let fixUpCount = fixUps.count
        guard bytes.count >= dataIndex + fixUpCount else { throw Self.changed("its memory") }
        for (index, member) in members.enumerated() {
            var now = bytes[1 + index]
            var expected = contents[index]
            Self.clearWords(&now)
            Self.clearWords(&expected)
            guard now == expected else { throw Self.changed("the patch memory of \(member.labels.identifier)") }
        }
        var entryBytes: [[UInt8]] = []
        for (index, entry) in entries.enumerated() {
            let now = bytes[1 + members.count + index]
            guard now.count == functions[index].count, now.count >= Jump.size,
                now[Jump.size...].elementsEqual(functions[index][Jump.size...])
            else { throw Self.changed(entry.name) }
            entryBytes.append(Array(now.prefix(entry.original.count)))
        }
        return FoundTransaction(
            members: members, stateWord: bytes[0].word(at: 0) ?? .max, historyWord: bytes[0].word(at: 8) ?? .max,
            entryBytes: entryBytes, fixUpBytes: Array(bytes[dataIndex..<(dataIndex + fixUpCount)]))
    }

    /// Checks that what was mapped is mapped still: no dlclose, no execve, no other file in its place.
    func check(_ survey: ProcessSurvey) throws(PatchingError) {
        for place in places {
            guard let now = survey.mapping(at: place.address), place.isDatum ? now.mayHoldData : now.isExecutable,
                now.shownFile == place.mapping.shownFile,
                now.range.lowerBound &- now.fileOffset == place.mapping.range.lowerBound &- place.mapping.fileOffset
                    || place.mapping.isAnonymous
            else { throw Self.changed("the mapping at 0x\(String(place.address, radix: 16))") }
        }
    }

    private static func clearWords(_ bytes: inout [UInt8]) {
        let start = Int(PatchMemory.stateOffset)
        for index in start..<min(bytes.count, start + 16) { bytes[index] = 0 }
    }

    private static func changed(_ what: String) -> PatchingError {
        .later(
            Refusal(
                .alteredByOthers, "While the process was being looked at, \(what) changed.",
                remedy: "Try again; if it stays so, find out what else changes this process."))
    }
}
