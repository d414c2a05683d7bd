//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The few fields of an ELF header (gABI chapter 4) that say how an object lies in memory. (Whole files are the ELF
/// room's business: in memory there are no sections, and bytes come through a system call.)
struct MemoryELFHeader {
    var type: UInt16
    var machine: UInt16
    var programHeaderOffset: UInt64
    var programHeaderCount: UInt16

    /// Size of `Elf64_Phdr`.
    static let programHeaderSize = 56

    /// One `Elf64_Phdr`.
    struct ProgramHeader {
        var type: UInt32
        var flags: UInt32
        var fileOffset: UInt64
        var address: UInt64
        var fileSize: UInt64
        var memorySize: UInt64
        var alignment: UInt64

        /// `p_vaddr` to `p_vaddr + p_memsz`; nil if that overflows.
        var range: Range<UInt64>? {
            let (end, overflow) = address.addingReportingOverflow(memorySize)
            return overflow ? nil : address..<end
        }
    }

    /// The header, if `bytes` is one of a 64-bit little-endian executable or shared object with program headers.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= 64, bytes.starts(with: [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]) else { return nil }
        type = UInt16(truncatingIfNeeded: Self.value(bytes, 16, 2))
        machine = UInt16(truncatingIfNeeded: Self.value(bytes, 18, 2))
        programHeaderOffset = Self.value(bytes, 32, 8)
        programHeaderCount = UInt16(truncatingIfNeeded: Self.value(bytes, 56, 2))
        guard type == 2 || type == 3, programHeaderCount > 0, programHeaderCount <= 1024,
            Self.value(bytes, 54, 2) == UInt64(Self.programHeaderSize)
        else { return nil }
    }

    /// The entries of a program header table.
    static func programHeaders(_ table: [UInt8]) -> [ProgramHeader] {
        stride(from: 0, to: table.count / programHeaderSize * programHeaderSize, by: programHeaderSize).map { start in
            ProgramHeader(
                type: UInt32(truncatingIfNeeded: value(table, start, 4)),
                flags: UInt32(truncatingIfNeeded: value(table, start + 4, 4)),
                fileOffset: value(table, start + 8, 8), address: value(table, start + 16, 8),
                fileSize: value(table, start + 32, 8), memorySize: value(table, start + 40, 8),
                alignment: value(table, start + 48, 8))
        }
    }

    /// A little-endian number of `size` bytes; the caller has checked the bounds.
    static func value(_ bytes: [UInt8], _ offset: Int, _ size: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<size { value |= UInt64(bytes[offset + index]) << UInt64(8 * index) }
        return value
    }
}

/// Notes (gABI chapter 5, "Note Section").
enum NoteReader {
    /// The description of the first note with this name and type.
    static func description(of name: [UInt8], type: UInt32, in notes: [UInt8], alignment: Int) -> [UInt8]? {
        var start = 0
        while start <= notes.count - 12 {
            let nameSize = Int(MemoryELFHeader.value(notes, start, 4))
            let descriptionSize = Int(MemoryELFHeader.value(notes, start + 4, 4))
            let noteType = MemoryELFHeader.value(notes, start + 8, 4)
            // Sizes are below 2^32, so these sums cannot overflow.
            let description = (start + 12 + nameSize + alignment - 1) / alignment * alignment
            let end = description + descriptionSize
            guard end <= notes.count else { return nil }
            if noteType == UInt64(type), notes[(start + 12)..<(start + 12 + nameSize)].elementsEqual(name) {
                return Array(notes[description..<end])
            }
            start = (end + alignment - 1) / alignment * alignment
        }
        return nil
    }
}
