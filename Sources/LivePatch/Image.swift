//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// What is mapped into a process for one live patch, before relocation.
///
/// `code`, `constants` and `unwind` lie one behind the other, each at the next multiple of 16; offsets in
/// `Entry`, `Gate`, `Relocation` and `Symbol` count from the first byte of `code`. All of it is mapped
/// read-execute and is never written by the process.
package struct Image: Sendable, Equatable {
    /// Replaced functions and gates.
    package var code: [UInt8]
    /// String literals, jump tables, address slots. The first 8 bytes are the state-pointer slot that every
    /// gate reads; the applier fills it.
    package var constants: [UInt8]
    /// `.eh_frame` of `code` (System V psABI, section 4.2.4; ends with a zero terminator), for unwinding
    /// through replaced functions and gates.
    package var unwind: [UInt8]
    /// What is left to add at apply time, sorted by offset.
    package var relocations: [Relocation]

    /// Makes an image of its parts.
    package init(code: [UInt8], constants: [UInt8], unwind: [UInt8], relocations: [Relocation]) {
        self.code = code
        self.constants = constants
        self.unwind = unwind
        self.relocations = relocations
    }

    /// Alignment of each part.
    package static var alignment: Int { 16 }

    /// Offset of the constants in the image, and so of the state-pointer slot.
    package var constantsOffset: Int { Self.aligned(code.count) }
    /// Offset of the unwind rules in the image.
    package var unwindOffset: Int { Self.aligned(constantsOffset + constants.count) }
    /// Size of the image in bytes.
    package var size: Int { unwindOffset + unwind.count }

    private static func aligned(_ value: Int) -> Int { (value + alignment - 1) / alignment * alignment }
}

/// One place of the image that depends on where the image and the target lie.
package struct Relocation: Sendable, Equatable {
    /// What is written.
    package enum Kind: Sendable, Equatable {
        /// 32 bits: destination + addend - place (`R_X86_64_PC32`).
        case relative32
        /// 64 bits: destination + addend (`R_X86_64_64`).
        case absolute64
    }

    /// Where it points.
    package enum Destination: Sendable, Hashable {
        /// A target-relative address (function, datum, GOT slot or PLT stub of the target itself).
        case target(UInt64)
        /// An offset in the image.
        case image(UInt32)
    }

    /// Offset in the image of the first byte that is written.
    package var offset: UInt32
    /// What is written.
    package var kind: Kind
    /// Where it points.
    package var destination: Destination
    /// Added to the destination.
    package var addend: Int64

    /// Makes a relocation.
    package init(offset: UInt32, kind: Kind, destination: Destination, addend: Int64) {
        self.offset = offset
        self.kind = kind
        self.destination = destination
        self.addend = addend
    }
}

/// A name for people and debuggers.
package struct Symbol: Sendable, Equatable {
    /// The name.
    package var name: String
    /// What it names.
    package var place: Relocation.Destination
    /// Size in bytes, 0 if not known.
    package var size: UInt64

    /// Makes a symbol.
    package init(name: String, place: Relocation.Destination, size: UInt64) {
        self.name = name
        self.place = place
        self.size = size
    }
}
