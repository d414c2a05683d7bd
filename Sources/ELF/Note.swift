//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A note (gABI, "Note Section"): where its parts lie in the image's bytes.
package struct Note: Sendable, Equatable {
    /// The type, whose meaning depends on the owner.
    package var type: UInt32
    /// The owner (`GNU`), without its NUL.
    package var owner: String
    /// Offset of the descriptor in the bytes that the note was parsed from.
    package var descriptorOffset: Int
    /// Size of the descriptor in bytes.
    package var descriptorSize: Int
}

/// Types of notes whose owner is `GNU`.
package enum GNUNoteType {
    /// `NT_GNU_ABI_TAG`: the oldest kernel that is supported.
    package static var abiTag: UInt32 { 1 }
    /// `NT_GNU_BUILD_ID`: the name of one build.
    package static var buildID: UInt32 { 3 }
    /// `NT_GNU_PROPERTY_TYPE_0`: properties (IBT, shadow stack, ISA level).
    package static var property: UInt32 { 5 }
}

/// Notes that lie one behind the other.
package struct NoteTable: ~Escapable {
    /// The bytes.
    package let bytes: RawSpan
    /// Alignment of a note and of its descriptor: 4, or 8 for `.note.gnu.property`.
    package let alignment: Int

    /// Views `bytes` as notes. An alignment other than 8 counts as 4, as all tools have it.
    @_lifetime(copy bytes)
    package init(_ bytes: RawSpan, alignment: UInt64) {
        self.bytes = bytes
        self.alignment = alignment == 8 ? 8 : 4
    }

    /// All notes, with offsets counted from the first byte of this table.
    ///
    /// - Throws: `ELFError` where a note does not lie in the bytes.
    package func parsed() throws(ELFError) -> [Note] {
        var notes: [Note] = []
        var position: UInt64 = 0
        // Sizes are 32 bits and positions are inside the bytes, so no sum below can overflow 64 bits.
        while position < bytes.byteCount {
            let nameSize = UInt64(try bytes.integer(at: position, as: UInt32.self))
            let size = UInt64(try bytes.integer(at: position &+ 4, as: UInt32.self))
            let type = try bytes.integer(at: position &+ 8, as: UInt32.self)
            let name = try bytes.slice(offset: position &+ 12, count: nameSize)
            let descriptor = aligned(position &+ 12 &+ nameSize)
            _ = try bytes.slice(offset: size == 0 ? 0 : descriptor, count: size)
            notes.append(
                Note(
                    type: type, owner: Self.text(name), descriptorOffset: Int(descriptor), descriptorSize: Int(size)))
            position = aligned(descriptor &+ size)
        }
        return notes
    }

    /// The descriptor of a note of this table.
    ///
    /// - Throws: `ELFError` where it does not lie in the bytes.
    @_lifetime(copy self)
    package func descriptor(of note: Note) throws(ELFError) -> RawSpan {
        guard note.descriptorSize > 0 else { return try bytes.slice(offset: 0, count: 0) }
        return try bytes.slice(
            offset: UInt64(clamping: note.descriptorOffset), count: UInt64(clamping: note.descriptorSize))
    }

    private func aligned(_ value: UInt64) -> UInt64 {
        (value &+ UInt64(alignment - 1)) & ~UInt64(alignment - 1)
    }

    /// The owner's name up to its NUL.
    private static func text(_ name: RawSpan) -> String {
        var end = 0
        while end < name.byteCount, name.uncheckedInteger(at: end, as: UInt8.self) != 0 { end &+= 1 }
        return name.extracting(0..<end).text()
    }
}
