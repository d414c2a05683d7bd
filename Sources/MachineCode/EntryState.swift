//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// What the first bytes of an old function are found to be.
package enum EntryState: Sendable, Equatable {
    /// What the target's file holds: nothing is applied.
    case original
    /// A jump to the gate: applied or undone half-way, the state word decides.
    case jumpToGate
    /// A jump to the new function: applied.
    case jumpToReplacement
    /// Anything else: someone else wrote here.
    case other

    /// Tells which it is.
    ///
    /// - Parameters:
    ///   - bytes: what lies at the entry, at least `Jump.size` bytes. All of them are compared: those behind
    ///     the jump must be original in each state.
    ///   - address: the entry's address in the process.
    ///   - original: what the target's file holds there, as many bytes.
    ///   - gate: the gate's address in the process, nil when there is none.
    ///   - replacement: the new function's address in the process.
    /// - Returns: the state; `other` also when the counts do not fit.
    package static func classify(
        _ bytes: [UInt8], at address: UInt64, original: [UInt8], gate: UInt64?, replacement: UInt64
    ) -> EntryState {
        guard bytes.count >= Jump.size, bytes.count == original.count else { return .other }
        for index in Jump.size..<bytes.count where bytes[index] != original[index] { return .other }
        var isOriginal = true
        for index in 0..<Jump.size where bytes[index] != original[index] { isOriginal = false }
        if isOriginal { return .original }
        guard let destination = Jump.destination(of: bytes, at: address) else { return .other }
        if let gate, destination == gate { return .jumpToGate }
        return destination == replacement ? .jumpToReplacement : .other
    }
}
