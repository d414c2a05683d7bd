//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import LivePatch

/// A datum that the author of a recipe sets, by the names of the source.
package struct RequestedFixUp: Sendable, Equatable {
    /// What its bytes are.
    package enum Value: Sendable, Equatable {
        /// A number.
        case number(UInt64)
        /// The address of a function or datum of the target, or of a function that is new in the patch; some bytes
        /// further on.
        case address(symbol: String, offset: Int)
    }

    /// The datum.
    package var symbol: String
    /// Where in it, in bytes.
    package var offset: Int
    /// How many bytes.
    package var size: FixUp.Size
    /// What is there before.
    package var from: Value
    /// What is there afterwards.
    package var to: Value
    /// Why old functions are safe with it, as a sentence.
    package var because: String
    /// Where it stands: `file:line`.
    package var place: String

    /// Makes a request of its parts.
    package init(
        symbol: String, offset: Int, size: FixUp.Size, from: Value, to: Value, because: String, place: String
    ) {
        self.symbol = symbol
        self.offset = offset
        self.size = size
        self.from = from
        self.to = to
        self.because = because
        self.place = place
    }

    /// The datum as people read it.
    var name: String { offset == 0 ? symbol : "\(symbol)+\(offset)" }

    /// What is wrong with it, said with its place.
    func fault(_ text: String) -> PatchBuildingError {
        PatchBuildingError(.unusableFixup, "\(place): the fix-up of \(name): \(text)")
    }
}
