//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A 32-bit field of emitted code that is filled in when the places are known:
/// destination + addend - place of the field (`R_X86_64_PC32`; psABI x86-64, section 4.4.1).
package struct FieldRequest: Sendable, Equatable {
    /// What a field points to.
    package enum Destination: Sendable, Equatable {
        /// The slot of the image that holds the address of the transaction's state word.
        case statePointer
        /// First byte of the new function.
        case replacement
        /// A target-relative address.
        case target(UInt64)
    }

    /// Offset of the field's first byte in the emitted bytes.
    package var offset: Int
    /// What it points to.
    package var destination: Destination
    /// Added to the destination: minus the distance from the field to the end of its instruction.
    package var addend: Int64

    /// Makes a request.
    package init(offset: Int, destination: Destination, addend: Int64) {
        self.offset = offset
        self.destination = destination
        self.addend = addend
    }
}
