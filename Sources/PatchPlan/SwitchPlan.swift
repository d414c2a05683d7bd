//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import MachineCode

/// Which way a transaction goes.
package enum Direction: Sendable, Equatable {
    /// To the new functions.
    case apply
    /// To the old functions.
    case undo
}

/// One write into a process.
package struct Write: Sendable, Equatable {
    /// What a write is for; the phases follow each other in this order.
    package enum Phase: Int, Sendable, Comparable {
        /// The state word goes back to old while no entry leads to a gate.
        case reset
        /// The history word says that code of the patch memory may be in use from now on.
        case history
        /// Data are set. Nothing but old functions meets them yet.
        case fixUp
        /// Entries become jumps to gates: whoever passes does what the state word says.
        case gates
        /// The state word changes: the one write that switches everything.
        case commit
        /// Entries become what they stay: jumps to the new functions, or the original bytes.
        case settle
        /// Data are taken back. Nothing but old functions meets them any more.
        case fixBack

        /// Order in which the phases are written.
        package static func < (first: Phase, second: Phase) -> Bool { first.rawValue < second.rawValue }
    }

    /// What it is for.
    package var phase: Phase
    /// Where it goes.
    package var address: UInt64
    /// What lies there before.
    package var before: [UInt8]
    /// What lies there afterwards: as many bytes.
    package var after: [UInt8]
}

/// The writes that bring a transaction from any state to its end, in either direction.
///
/// After each prefix of the writes every thread that enters an old function does what the state word says:
/// all old before the commit, all new after it. (Entries without a gate change alone; `[MemberRequest].check`
/// admits them only where that is safe.) Fix-ups are written first and taken back last, so new functions are never
/// reached while one of them is missing; old functions meet the first k of n, in the patch's order.
package struct SwitchPlan: Sendable, Equatable {
    /// Which way.
    package var direction: Direction
    /// What is written, in this order.
    package var writes: [Write]

    /// Plans the writes.
    ///
    /// - Parameters:
    ///   - found: the transaction as it is.
    ///   - direction: which way it is to go.
    /// - Throws: `Refusal` (`alteredByOthers`) where something lies that nobody of us wrote.
    package init(_ found: FoundTransaction, direction: Direction) throws(Refusal) {
        self.direction = direction
        let entries = found.entries
        let states = found.entryStates
        for (entry, state) in zip(entries, states) where state == .other {
            throw Refusal(
                .alteredByOthers, "The first bytes of \(entry.name) were changed by someone else.",
                remedy: "Find out what else patches this process (another live-patching tool, a debugger); restart it.")
        }
        guard found.stateWord <= 1 else {
            throw Refusal(
                .alteredByOthers, "The state word of the transaction is \(found.stateWord).",
                remedy: "Restart the process.")
        }
        for (fixUp, bytes) in zip(found.fixUps, found.fixUpBytes) where fixUp.state(of: bytes) == .other {
            throw fixUp.mismatch(bytes)
        }
        guard found.fixUps.count == found.fixUpBytes.count else {
            throw Refusal(
                .fixupMismatch, "The data that the patch sets cannot be read.",
                remedy: "Restart the process with the fixed package.")
        }
        let goal: UInt64 = direction == .apply ? 1 : 0
        var stateWord = found.stateWord
        var reset: [Write] = []
        if direction == .apply, stateWord == 1, states.allSatisfy({ $0 == .original }), let first = found.members.first
        {
            // The object was unloaded and loaded again: no entry reads the word, so it can start anew.
            reset.append(
                Write(phase: .reset, address: first.stateAddress, before: Self.bytes(1), after: Self.bytes(0)))
            stateWord = 0
        }
        var gates: [Write] = []
        var settle: [Write] = []
        for (entry, state) in zip(entries, states) {
            let original = entry.overwrittenOriginal
            let gate = try entry.jumpToGate()
            let direct = try entry.jumpToReplacement()
            let end = direction == .apply ? direct : original
            var now: [UInt8]
            switch state {
            case .jumpToGate: now = gate
            case .jumpToReplacement: now = direct
            case .original, .other: now = original
            }
            if now == end { continue }
            // Entries go through their gates only while the state word still has to change.
            if stateWord != goal, entry.gate != nil, now != gate {
                gates.append(Write(phase: .gates, address: entry.address, before: now, after: gate))
                now = gate
            }
            settle.append(Write(phase: .settle, address: entry.address, before: now, after: end))
        }
        writes = reset
        if found.historyWord == 0, direction == .apply, let first = found.members.first {
            writes.append(
                Write(
                    phase: .history, address: first.historyAddress, before: Self.bytes(0), after: Self.bytes(1)))
        }
        if direction == .apply { writes += Self.fixUps(found, direction: direction) }
        writes += gates
        if stateWord != goal, let first = found.members.first {
            writes.append(
                Write(
                    phase: .commit, address: first.stateAddress, before: Self.bytes(stateWord),
                    after: Self.bytes(goal)))
        }
        writes += settle
        if direction == .undo { writes += Self.fixUps(found, direction: direction) }
    }

    /// The stores that set data, in the patch's order, or take them back, in the reverse order: at every moment the
    /// first k of them are in.
    private static func fixUps(_ found: FoundTransaction, direction: Direction) -> [Write] {
        let writes = zip(found.fixUps, found.fixUpStates).compactMap { fixUp, state -> Write? in
            let from = fixUp.bytes(fixUp.from)
            let to = fixUp.bytes(fixUp.to)
            switch (direction, state) {
            case (.apply, .from): return Write(phase: .fixUp, address: fixUp.address, before: from, after: to)
            case (.undo, .to): return Write(phase: .fixBack, address: fixUp.address, before: to, after: from)
            default: return nil
            }
        }
        return direction == .apply ? writes : writes.reversed()
    }

    /// Whether nothing is left to write in a direction.
    package static func isComplete(_ found: FoundTransaction, direction: Direction) -> Bool {
        direction == .apply ? found.state == .applied : found.state == .undone || found.state == .prepared
    }

    /// The little-endian bytes of a word.
    static func bytes(_ word: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) }
    }
}
