//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Why some bytes are not the header of a patch memory.
package struct PatchMemoryError: Error, Sendable, Equatable {
    /// Kinds of faults.
    package enum Code: Sendable {
        /// The magic is not there: no patch memory, or one that was not filled to its end.
        case noMagic
        /// A layout that this version does not know.
        case unknownLayout
        /// Fewer bytes than the header says.
        case truncated
        /// A field that cannot be.
        case invalidField
        /// The checksum is not that of the header.
        case checksum
        /// Too much for one patch memory.
        case tooLarge
    }

    /// The kind of fault.
    package var code: Code
    /// A sentence for a person.
    package var reason: String

    /// Makes an error.
    package init(_ code: Code, _ reason: String) {
        self.code = code
        self.reason = reason
    }
}
