//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import MachineCode

/// How far a transaction is, as its memory tells it: the same for whoever looks, whatever happened before.
package enum TransactionState: String, Sendable, Equatable {
    /// Patch memory is missing or was never filled.
    case absent
    /// Patch memory is there, no entry was changed.
    case prepared
    /// Some or all fix-ups are in, or entries jump to gates; the state word says old.
    case halfGated = "half-gated"
    /// All entries jump to gates (or are still to be written where there is no gate), the state word says new.
    case committed
    /// Some entries jump to the new functions, the state word says new.
    case halfDirect = "half-direct"
    /// Everything is as it must be.
    case applied
    /// Begun or applied once, taken out again: threads may still be in its patch memory.
    case undone
    /// A state that no step of ours leads to; it can be completed either way all the same.
    case mixed
    /// An entry, a fix-up or the state word holds what nobody of us wrote.
    case altered

    /// Whether the process runs the new functions.
    package var isNew: Bool { self == .committed || self == .halfDirect || self == .applied }

    /// Whether nothing is left to do in either direction.
    package var isSettled: Bool { self == .prepared || self == .applied || self == .undone }
}

/// A transaction as it is found in a process.
package struct FoundTransaction: Sendable, Equatable {
    /// The headers of its members, in its order.
    package var members: [PatchMemory]
    /// The state word.
    package var stateWord: UInt64
    /// The history word: 1 once an entry may have led into patch memory.
    package var historyWord: UInt64
    /// The bytes at each entry, in the order of members and their entries, `original.count` each.
    package var entryBytes: [[UInt8]]
    /// The bytes at each fix-up, in the order of members and their fix-ups, as many as each sets. Those that are
    /// missing count as altered.
    package var fixUpBytes: [[UInt8]]

    /// Puts together what was read.
    package init(
        members: [PatchMemory], stateWord: UInt64, historyWord: UInt64, entryBytes: [[UInt8]],
        fixUpBytes: [[UInt8]] = []
    ) {
        self.members = members
        self.stateWord = stateWord
        self.historyWord = historyWord
        self.entryBytes = entryBytes
        self.fixUpBytes = fixUpBytes
    }

    /// All entries, in the order of `entryBytes`.
    package var entries: [PlacedEntry] { members.flatMap(\.entries) }

    /// What the entries are found to be.
    package var entryStates: [EntryState] {
        let entries = self.entries
        guard entries.count == entryBytes.count else { return entries.map { _ in .other } }
        return zip(entries, entryBytes).map { $0.state(of: $1) }
    }

    /// All fix-ups, in the order of `fixUpBytes`.
    package var fixUps: [PlacedFixUp] { members.flatMap(\.fixUps) }

    /// What the fix-ups are found to be.
    package var fixUpStates: [PlacedFixUp.State] {
        let fixUps = self.fixUps
        guard fixUps.count == fixUpBytes.count else { return fixUps.map { _ in .other } }
        return zip(fixUps, fixUpBytes).map { $0.state(of: $1) }
    }

    /// How far it is.
    package var state: TransactionState {
        var original = 0
        var gates = 0
        var direct = 0
        var pending = 0
        for (entry, state) in zip(entries, entryStates) {
            switch state {
            case .other: return .altered
            case .jumpToGate: gates += 1
            case .jumpToReplacement where entry.gate == nil: pending += 1
            case .jumpToReplacement: direct += 1
            case .original where entry.gate == nil: break
            case .original: original += 1
            }
        }
        let gateless = entries.count { $0.gate == nil }
        let fixUps = fixUpStates
        let isSet = fixUps.contains(.to)
        switch stateWord {
        case 0:
            // What holds neither value is not ours, if nothing else is: a datum that is taken back belongs to the
            // program again.
            if fixUps.contains(.other), isSet || direct + gates + pending > 0 { return .altered }
            if direct > 0 { return .mixed }
            if gates > 0 || pending > 0 || isSet { return .halfGated }
            return historyWord == 0 ? .prepared : .undone
        case 1:
            if fixUps.contains(.other) { return .altered }
            if original > 0 || fixUps.contains(.from) { return .mixed }
            if gates == 0, pending == gateless { return .applied }
            return direct > 0 || pending > 0 ? .halfDirect : .committed
        default:
            return .altered
        }
    }
}

extension [FoundTransaction] {
    /// Those that are not out of use: a transaction that was undone, and whose functions another transaction of ours
    /// has replaced since, is nothing but patch memory that waits. (Its entries hold the other one's jumps, which
    /// would look as if someone had altered them.)
    package var withoutSuperseded: [FoundTransaction] {
        filter { found in
            guard found.stateWord == 0 else { return true }
            let isSetByOther = found.fixUps.contains { fixUp in
                contains { other in
                    other.stateWord != 0 && other.members != found.members
                        && other.fixUps.contains { $0.range.overlaps(fixUp.range) }
                }
            }
            // A patch is not begun where another one in use has set the datum: so this one was out of use by then.
            if isSetByOther, found.entryStates.allSatisfy({ $0 == .original }) { return false }
            return !zip(found.entries, zip(found.entryBytes, found.entryStates)).contains { entry, item in
                let (bytes, state) = item
                guard state == .other, let destination = Jump.destination(of: bytes, at: entry.address) else {
                    return false
                }
                return contains { other in
                    other.members != found.members && other.members.contains { $0.range.contains(destination) }
                }
            }
        }
    }
}
