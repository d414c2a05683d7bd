//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import MachineCode

extension PlacedEntry {
    /// What the first bytes of the old function are found to be.
    ///
    /// - Parameter bytes: `original.count` bytes from the process.
    package func state(of bytes: [UInt8]) -> EntryState {
        EntryState.classify(
            bytes, at: address, original: original, gate: gate?.lower, replacement: replacement.lower)
    }

    /// The jump to the new function.
    ///
    /// - Throws: `Refusal` (`noRoomWithinReach`).
    package func jumpToReplacement() throws(Refusal) -> [UInt8] {
        try jump(to: replacement.lower)
    }

    /// The jump to the gate; empty where there is none.
    ///
    /// - Throws: `Refusal` (`noRoomWithinReach`).
    package func jumpToGate() throws(Refusal) -> [UInt8] {
        guard let gate else { return [] }
        return try jump(to: gate.lower)
    }

    /// What is written to restore the old function.
    package var overwrittenOriginal: [UInt8] { Array(original.prefix(Jump.size)) }

    private func jump(to destination: UInt64) throws(Refusal) -> [UInt8] {
        do {
            return try Jump.bytes(from: address, to: destination)
        } catch {
            throw Refusal(
                .noRoomWithinReach, "A jump from \(name) does not reach its patch memory.",
                remedy: "Restart the process with the fixed package.")
        }
    }
}
