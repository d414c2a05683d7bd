//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import LivePatch
internal import MachineCode

/// The code of an old function, decoded, and what a jump over its first bytes meets there.
struct EntryCode {
    /// All of its instructions.
    let decoded: InstructionDecoder.Function
    /// Lengths of the first instructions, as many as the jump touches.
    let prologue: [UInt8]
    /// The first instructions, rewritten for another place, or why they cannot be.
    let relocation: Result<PrologueRelocation, MachineCodeError>
    /// Whether a branch leads to its first byte. It would arrive in the new function.
    let branchesToEntry: Bool
    /// Whether a call returns into the bytes that the jump overwrites.
    let returnsIntoEntry: Bool

    /// Number of bytes that the prologue has: at least those that the jump overwrites.
    var prologueSize: Int { prologue.reduce(0) { $0 + Int($1) } }

    /// Decodes a function.
    ///
    /// - Parameters:
    ///   - bytes: all of the function from the place of the jump on.
    ///   - address: target-relative address of the first of them.
    ///   - skipped: how many bytes of the function stand before them (`endbr64`).
    init(_ bytes: [UInt8], at address: UInt64, skipped: Int = 0, decoder: inout InstructionDecoder) {
        decoded = decoder.decode(bytes, at: address)
        var lengths: [UInt8] = []
        var covered = 0
        for shape in decoded.shapes {
            guard covered < Entry.overwrittenSize else { break }
            lengths.append(shape.length)
            covered += Int(shape.length)
        }
        prologue = lengths
        let start = address &- UInt64(skipped)
        branchesToEntry = decoded.jumps.contains { $0 >= start && $0 <= address }
        // Returns ascend.
        returnsIntoEntry = decoded.returns.first.map { $0 < Entry.overwrittenSize } ?? false
        do throws(MachineCodeError) {
            relocation = .success(
                try PrologueRelocation(
                    function: bytes, at: address, shapes: decoded.shapes, branchDestinations: decoded.jumps))
        } catch {
            relocation = .failure(error)
        }
    }
}
