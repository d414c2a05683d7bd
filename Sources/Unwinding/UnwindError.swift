//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Why unwind rules could not be read or followed.
package struct UnwindError: Error, Sendable, Equatable {
    /// What went wrong, for programs.
    package enum Code: Sendable, Equatable {
        /// Something ends behind the end of what holds it.
        case truncated
        /// A number or structure that the format does not allow.
        case malformed
        /// An augmentation string that is not understood.
        case unsupportedAugmentation
        /// A pointer encoding that is not understood.
        case unsupportedEncoding
        /// A call frame instruction that is not understood.
        case unsupportedInstruction
        /// An operation of a DWARF expression that is not understood.
        case unsupportedOperation
        /// No rules cover an instruction pointer.
        case noRules
        /// A register is needed whose value is not known.
        case unknownRegister
        /// Memory that the rules refer to cannot be read.
        case unreadableMemory
        /// A frame does not lie above the one before.
        case stackNotGrowing
        /// More frames, steps or nesting than are allowed.
        case limitExceeded
    }

    /// What went wrong, for programs.
    package var code: Code
    /// What went wrong, a sentence for a person.
    package var reason: String
    /// Where: an offset in `.eh_frame`, or an address in the process for `noRules`, `unreadableMemory` and
    /// `stackNotGrowing`.
    package var place: UInt64

    /// Makes an error.
    package init(_ code: Code, _ reason: String, at place: UInt64) {
        self.code = code
        self.reason = reason
        self.place = place
    }

    /// Makes an error about an offset in `.eh_frame`.
    init(_ code: Code, _ reason: String, at offset: Int) {
        self.init(code, reason, at: UInt64(offset))
    }
}
