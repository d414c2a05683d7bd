//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// One function, string, table or slot of the image.
struct Piece: Sendable {
    /// What it was made from; two references to the same thing share it.
    enum Key: Sendable, Hashable {
        /// A section of the fixed object with this unit number.
        case section(unit: Int, section: Int)
        /// A string or constant, by its bytes.
        case literal([UInt8])
        /// A slot that holds the address of something.
        case slot(Destination)
        /// A stub that jumps through a GOT slot of the target.
        case stub(slot: Int)
    }

    /// Where a field points.
    enum Destination: Sendable, Hashable {
        /// Into another piece.
        case piece(Int, offset: Int)
        /// A target-relative address.
        case target(Int)
    }

    /// A field that depends on where things lie.
    struct Field: Sendable {
        enum Kind: Sendable {
            /// destination + addend - place, 32 bits
            case relative32
            /// destination + addend, 64 bits
            case absolute64
        }

        var offset: Int
        var kind: Kind
        var destination: Destination
        var addend: Int
    }

    var key: Key
    var isCode: Bool
    /// At most `ImageBuilder.alignment`.
    var alignment: Int
    /// The bytes; fields are zero.
    var bytes: [UInt8]
    var fields: [Field] = []
    /// Name for people; empty for none.
    var name: String
    /// Offset in the image, once it is laid out.
    var offset = 0
}
