//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// `p_type`: what a program header describes (gABI, "Program Header").
package struct SegmentType: RawRepresentable, Sendable, Hashable {
    /// The value in the file.
    package var rawValue: UInt32
    /// Makes a type of its value in the file.
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// `PT_LOAD`: mapped into memory.
    package static var load: SegmentType { SegmentType(rawValue: 1) }
    /// `PT_DYNAMIC`: the dynamic section.
    package static var dynamic: SegmentType { SegmentType(rawValue: 2) }
    /// `PT_INTERP`: path of the program interpreter.
    package static var interpreter: SegmentType { SegmentType(rawValue: 3) }
    /// `PT_NOTE`: notes.
    package static var note: SegmentType { SegmentType(rawValue: 4) }
    /// `PT_PHDR`: the program headers themselves.
    package static var programHeaders: SegmentType { SegmentType(rawValue: 6) }
    /// `PT_TLS`: the template of thread-local data.
    package static var threadLocal: SegmentType { SegmentType(rawValue: 7) }
    /// `PT_GNU_EH_FRAME`: `.eh_frame_hdr`.
    package static var unwindHeader: SegmentType { SegmentType(rawValue: 0x6474_e550) }
    /// `PT_GNU_STACK`: whether the stack is executable.
    package static var stack: SegmentType { SegmentType(rawValue: 0x6474_e551) }
    /// `PT_GNU_RELRO`: read-only after relocation.
    package static var readOnlyAfterRelocation: SegmentType { SegmentType(rawValue: 0x6474_e552) }
    /// `PT_GNU_PROPERTY`: `.note.gnu.property`.
    package static var property: SegmentType { SegmentType(rawValue: 0x6474_e553) }
}

/// `p_flags` of a segment.
package struct SegmentFlags: OptionSet, Sendable, Hashable {
    /// The value in the file.
    package var rawValue: UInt32
    /// Makes flags of their value in the file.
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// `PF_X`.
    package static var execute: SegmentFlags { SegmentFlags(rawValue: 1) }
    /// `PF_W`.
    package static var write: SegmentFlags { SegmentFlags(rawValue: 2) }
    /// `PF_R`.
    package static var read: SegmentFlags { SegmentFlags(rawValue: 4) }
}

/// A program header.
package struct Segment: ELFRecord, Equatable {
    /// Its index in the program header table.
    package var index: Int
    /// `p_type`.
    package var type: SegmentType
    /// `p_flags`.
    package var flags: SegmentFlags
    /// `p_offset`: file offset of the contents.
    package var offset: UInt64
    /// `p_vaddr`: target-relative address.
    package var address: UInt64
    /// `p_paddr`.
    package var physicalAddress: UInt64
    /// `p_filesz`: bytes in the file.
    package var fileSize: UInt64
    /// `p_memsz`: bytes in memory; what the file does not give is zero.
    package var memorySize: UInt64
    /// `p_align`.
    package var alignment: UInt64

    /// Size of a program header in the file.
    @inlinable package static var recordSize: Int { 56 }

    /// Reads a program header.
    package init(unchecked bytes: RawSpan, at offset: Int, index: Int) {
        self.index = index
        type = SegmentType(rawValue: bytes.uncheckedInteger(at: offset))
        flags = SegmentFlags(rawValue: bytes.uncheckedInteger(at: offset &+ 4))
        self.offset = bytes.uncheckedInteger(at: offset &+ 8)
        address = bytes.uncheckedInteger(at: offset &+ 16)
        physicalAddress = bytes.uncheckedInteger(at: offset &+ 24)
        fileSize = bytes.uncheckedInteger(at: offset &+ 32)
        memorySize = bytes.uncheckedInteger(at: offset &+ 40)
        alignment = bytes.uncheckedInteger(at: offset &+ 48)
    }
}
