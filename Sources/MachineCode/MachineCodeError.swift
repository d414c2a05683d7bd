//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Why machine code could not be made or moved.
package struct MachineCodeError: Error, Sendable, Equatable {
    /// What went wrong, for programs.
    package enum Code: Sendable, Equatable {
        /// A 32-bit displacement does not span the distance.
        case outOfReach
        /// The instruction lengths do not fit the bytes, or do not cover what a jump overwrites.
        case badShape
        /// An instruction that cannot be moved: its reason says which and why.
        case notRelocatable
        /// A branch leads into the bytes that a jump overwrites.
        case branchIntoEntry
    }

    /// What went wrong, for programs.
    package var code: Code
    /// What went wrong, a sentence for a person.
    package var reason: String

    /// Makes an error.
    package init(_ code: Code, _ reason: String) {
        self.code = code
        self.reason = reason
    }
}
