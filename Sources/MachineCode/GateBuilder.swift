//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Emits the gate of an entry: a piece of code that chooses between the old and the new function by the
/// transaction's state word and changes no register, no flag and no byte above the stack pointer.
///
/// ```
/// start:    push rcx
///           mov  rcx, [rip + statePointer]
///           mov  rcx, [rcx]
///           jrcxz original                   ; 0: old, anything else: new
///           pop  rcx
///           jmp  replacement
/// original: pop  rcx
///           <relocated prologue>
///           jmp  entry + size of the prologue
/// ```
/// `push`, `pop`, `mov` and `jrcxz` leave the flags alone (Intel SDM volume 2).
package struct GateBuilder: Sendable, Equatable {
    /// The gate's code; the requested fields are zero.
    package var bytes: [UInt8]
    /// Fields to fill in, by offset.
    package var requests: [FieldRequest]
    /// Offset of the relocated prologue: a thread at or behind it is in the old function already.
    package var original: Int
    /// How far the canonical frame address lies above the stack pointer, from which offset on; for the
    /// gate's FDE. Behind the last one, the old function's own rules hold (`places`).
    package var stackSteps: [StackStep]
    /// Where the old function's first instructions lie in the gate, as offsets in both; the last pair is
    /// the jump back.
    package var places: [PrologueRelocation.Place]

    /// One line of the unwind rules: from `offset` on, CFA = rsp + `canonicalFrameAddressOffset`.
    package struct StackStep: Sendable, Equatable {
        /// First offset in the gate that it holds for.
        package var offset: Int
        /// CFA minus stack pointer, in bytes.
        package var canonicalFrameAddressOffset: Int

        /// Makes a line.
        package init(offset: Int, canonicalFrameAddressOffset: Int) {
            self.offset = offset
            self.canonicalFrameAddressOffset = canonicalFrameAddressOffset
        }
    }

    /// Emits the gate of one entry.
    ///
    /// - Parameters:
    ///   - prologue: the old function's relocated first instructions.
    ///   - address: target-relative address of the old function.
    package init(prologue: PrologueRelocation, address: UInt64) {
        bytes = [
            0x51,  // push rcx
            0x48, 0x8B, 0x0D, 0, 0, 0, 0,  // mov rcx, [rip + statePointer]
            0x48, 0x8B, 0x09,  // mov rcx, [rcx]
            0xE3, 0x06,  // jrcxz original
            0x59,  // pop rcx
            0xE9, 0, 0, 0, 0,  // jmp replacement
            0x59,  // original: pop rcx
        ]
        requests = [
            FieldRequest(offset: 4, destination: .statePointer, addend: -4),
            FieldRequest(offset: 15, destination: .replacement, addend: -4),
        ]
        stackSteps = [
            StackStep(offset: 0, canonicalFrameAddressOffset: 8),
            StackStep(offset: 1, canonicalFrameAddressOffset: 16),
            StackStep(offset: 14, canonicalFrameAddressOffset: 8),
            StackStep(offset: 19, canonicalFrameAddressOffset: 16),
            StackStep(offset: 20, canonicalFrameAddressOffset: 8),
        ]
        original = bytes.count
        places = []
        for place in prologue.places {
            places.append(PrologueRelocation.Place(original: place.original, relocated: original + place.relocated))
        }
        for request in prologue.requests {
            var moved = request
            moved.offset += original
            requests.append(moved)
        }
        bytes += prologue.bytes
        bytes.append(Jump.opcode)
        requests.append(
            FieldRequest(
                offset: bytes.count, destination: .target(address &+ UInt64(prologue.originalSize)), addend: -4))
        bytes += [0, 0, 0, 0]
    }
}
