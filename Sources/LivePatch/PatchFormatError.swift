//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import ELF

/// Why bytes are no live patch, or why a live patch cannot be written.
package struct PatchFormatError: Error, Sendable, Equatable {
    /// What kind of thing is wrong; the raw value is the stable word for it.
    package enum Code: String, Sendable, Equatable {
        /// The bytes are no ELF relocatable object with the sections of a live patch.
        case notPatch = "not-a-patch"
        /// A live patch of a version of the format that is not known here.
        case unsupportedVersion = "format-version"
        /// A live patch for an architecture that is not known here.
        case unsupportedMachine = "machine"
        /// A part is cut short, missing, or says something that is not understood.
        case malformed = "patch-malformed"
        /// More than the format allows.
        case tooLarge = "patch-too-large"
        /// The parts can be read but do not fit together.
        case inconsistent = "patch-inconsistent"
        /// The writer would write the same patch with other bytes.
        case notCanonical = "patch-not-canonical"
    }

    /// What kind of thing is wrong.
    package var code: Code
    /// A sentence for a person.
    package var reason: String
    /// What the ELF reader said, where it was the one that refused.
    package var underlying: ELFError?

    /// Makes an error of its parts.
    @inline(never)
    package init(_ code: Code, _ reason: String, underlying: ELFError? = nil) {
        self.code = code
        self.reason = reason
        self.underlying = underlying
    }

    /// Turns the ELF reader's error into one that says which part could not be read.
    @inline(never)
    static func unreadable(_ part: String, _ error: ELFError) -> PatchFormatError {
        PatchFormatError(.malformed, "\(part) cannot be read: \(error.reason)", underlying: error)
    }
}
