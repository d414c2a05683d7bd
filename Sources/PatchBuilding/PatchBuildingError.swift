//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Why no live patch could be built: something is missing or broken, as opposed to a verdict, which is a
/// judgement of a patch that could be looked at.
package struct PatchBuildingError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure it is. The raw values are stable: they are the `reason` in JSON.
    package enum Code: String, Sendable {
        /// A file is not the ELF object it should be.
        case malformedObject = "malformed-object"
        /// An object holds what the linker makes code of (`-flto`), and not the code itself.
        case linkTimeOptimised = "link-time-optimised"
        /// The shipped binary lacks what matching needs (build-id, `.eh_frame`).
        case unsuitableTarget = "unsuitable-target"
        /// A rebuilt object is not in the shipped binary, or at more than one place.
        case notMatched = "not-matched"
        /// Objects contradict each other about a symbol or a section.
        case inconsistent = "inconsistent"
        /// A waiver that no reason needs: the recipe is stale.
        case unusedWaiver = "unused-waiver"
        /// A waiver that cannot be followed: it means several things, or what it asks for is not safe.
        case unusableWaiver = "unusable-waiver"
        /// A fix-up whose names, place or values do not fit the target.
        case unusableFixup = "unusable-fixup"
    }

    /// What kind of failure it is.
    package var code: Code
    /// A sentence for a person.
    package var reason: String

    /// Makes an error.
    package init(_ code: Code, _ reason: String) {
        self.code = code
        self.reason = reason
    }

    package var description: String { "\(code.rawValue): \(reason)" }
}
