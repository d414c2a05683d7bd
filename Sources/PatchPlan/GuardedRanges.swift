//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import MachineCode

/// Addresses where no thread may be, or return to, while a transaction is switched.
package struct GuardedRanges: Sendable, Equatable {
    /// One range and what it belongs to.
    package struct Guarded: Sendable, Equatable {
        /// What the range is.
        package enum Kind: Sendable, Equatable {
            /// Bytes that are overwritten, but for the first: going on there would execute half a jump.
            case overwritten
            /// A function that must not be on a stack when the halves switch.
            case function
            /// A gate: who is in it has read the state word already.
            case gate
        }

        /// The addresses. For functions and gates the end is included: a call as last instruction returns there.
        package var range: AddressRange
        /// What it is.
        package var kind: Kind
        /// The function's name.
        package var name: String
    }

    /// All of them, sorted by first address; those of whole images come last.
    package private(set) var ranges: [Guarded] = []
    private var lowest: UInt64 = .max
    private var highest: UInt64 = 0

    /// Collects what must be free of threads for a switch.
    ///
    /// `automatic` transactions may be switched under running functions; there only the overwritten bytes count.
    /// `quiescent` ones need that no function that goes out of use is on any stack, and no thread in a gate, which
    /// may have read the state word and not yet acted on it. Who merely stands at an entry's first byte, or keeps its
    /// address as a function pointer, is not in the function: the first byte is no part of the range.
    ///
    /// - Parameters:
    ///   - found: the transaction as it is in the process.
    ///   - direction: which way it goes.
    package init(_ found: FoundTransaction, direction: Direction) {
        let quiescent = found.members.contains { $0.verdict == .quiescent }
        let states = found.entryStates
        var goesOutOfUse = false
        for (entry, state) in zip(found.entries, states) {
            if state != .other {
                add(entry.overwritten, .overwritten, entry.name)
            }
            guard quiescent else { continue }
            // Completing an undo whose state word says old already changes nothing for anyone.
            if direction == .undo, found.stateWord == 0, state != .jumpToReplacement { continue }
            if direction == .apply {
                add(
                    AddressRange(lower: entry.address &+ 1, upper: entry.address &+ UInt64(entry.size) &+ 1), .function,
                    entry.name)
            } else {
                add(
                    AddressRange(lower: entry.replacement.lower &+ 1, upper: entry.replacement.upper &+ 1), .function,
                    entry.name)
                goesOutOfUse = true
            }
            if let gate = entry.gate {
                add(AddressRange(lower: gate.lower, upper: gate.upper &+ 1), .gate, entry.name)
            }
        }
        // A fix-up can lead into the image without any entry; taking it back puts that code out of use as well.
        if direction == .undo, found.fixUpStates.contains(.to) { goesOutOfUse = true }
        ranges.sort { $0.range.lower < $1.range.lower }
        if goesOutOfUse {
            // New functions have parts that no entry names: cold parts, and functions that only they call.
            for member in found.members {
                let code = AddressRange(
                    lower: member.imageAddress &+ 1, upper: member.imageAddress &+ UInt64(member.codeSize) &+ 1)
                add(code, .function, member.labels.identifier)
            }
        }
    }

    private mutating func add(_ range: AddressRange, _ kind: Guarded.Kind, _ name: String) {
        ranges.append(Guarded(range: range, kind: kind, name: name))
        lowest = min(lowest, range.lower)
        highest = max(highest, range.upper)
    }

    /// What an address hits; nil if nothing.
    package func hit(_ address: UInt64) -> Guarded? {
        guard address >= lowest, address < highest else { return nil }
        return ranges.first { $0.range.contains(address) }
    }

    /// What the words of a piece of stack hit first; nil if nothing. Words are little-endian and aligned to 8 bytes.
    ///
    /// - Parameter stack: the stack's bytes, from an address that is a multiple of 8.
    package func hit(stack: [UInt8]) -> Guarded? {
        unsafe stack.withUnsafeBytes { bytes in
            var offset = 0
            while offset + 8 <= bytes.count {
                let word = UInt64(littleEndian: unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                if word >= lowest, word < highest, let guarded = hit(word) { return guarded }
                offset += 8
            }
            return nil
        }
    }
}

/// A thread that keeps a transaction from being switched now.
package struct BusyThread: Sendable, Equatable {
    /// Thread id.
    package var thread: Int32
    /// The function that it is in.
    package var function: String
    /// Whether its stack could not be unwound to the end, so that the hit may be a stale word.
    package var byScan: Bool

    /// Makes a report.
    package init(thread: Int32, function: String, byScan: Bool) {
        self.thread = thread
        self.function = function
        self.byScan = byScan
    }
}
