//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// `e_type`: what kind of file it is (gABI, "ELF Header").
package struct ObjectType: RawRepresentable, Sendable, Hashable {
    /// The value in the file.
    package var rawValue: UInt16
    /// Makes a type of its value in the file.
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// `ET_REL`: a relocatable object.
    package static var relocatable: ObjectType { ObjectType(rawValue: 1) }
    /// `ET_EXEC`: an executable at a fixed address.
    package static var executable: ObjectType { ObjectType(rawValue: 2) }
    /// `ET_DYN`: a shared object, or a position-independent executable.
    package static var shared: ObjectType { ObjectType(rawValue: 3) }
    /// `ET_CORE`: a core file.
    package static var core: ObjectType { ObjectType(rawValue: 4) }
}

/// `e_machine`: the architecture.
package struct Machine: RawRepresentable, Sendable, Hashable {
    /// The value in the file.
    package var rawValue: UInt16
    /// Makes a machine of its value in the file.
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// `EM_X86_64`.
    package static var x86_64: Machine { Machine(rawValue: 62) }
    /// `EM_AARCH64`.
    package static var aarch64: Machine { Machine(rawValue: 183) }
}

/// The header at the start of every ELF64 file, with the extended numbers already resolved.
package struct FileHeader: Sendable, Equatable {
    /// `e_ident[EI_OSABI]`.
    package var abi: UInt8
    /// `e_ident[EI_ABIVERSION]`.
    package var abiVersion: UInt8
    /// `e_type`.
    package var type: ObjectType
    /// `e_machine`.
    package var machine: Machine
    /// `e_entry`: target-relative address of the first instruction, 0 for none.
    package var entryPoint: UInt64
    /// `e_phoff`: file offset of the program headers.
    package var segmentTableOffset: UInt64
    /// `e_shoff`: file offset of the section headers, 0 for none.
    package var sectionTableOffset: UInt64
    /// `e_flags`.
    package var flags: UInt32
    /// Number of program headers (from section 0 where `e_phnum` is `PN_XNUM`).
    package var segmentCount: Int
    /// Number of section headers (from section 0 where `e_shnum` is 0).
    package var sectionCount: Int
    /// Index of the section that holds the sections' names (from section 0 where it is `SHN_XINDEX`),
    /// 0 for none.
    package var sectionNamesIndex: Int

    /// Size of an ELF64 file header in bytes.
    package static var size: Int { 64 }

    /// Reads the header at the start of `bytes`.
    ///
    /// - Throws: `ELFError` where the bytes are no ELF64 little-endian file of version 1, or a header table
    ///   does not have the records of this class.
    package init(_ bytes: RawSpan, readingSections: Bool = true) throws(ELFError) {
        guard bytes.byteCount >= 4, bytes.uncheckedInteger(at: 0, as: UInt32.self) == 0x464c_457f else {
            throw ELFError(.notELF, at: 0, "the bytes do not begin with the ELF magic")
        }
        guard bytes.byteCount >= Self.size else {
            throw .outOfBounds(offset: 0, count: UInt64(Self.size), size: bytes.byteCount)
        }
        // EI_CLASS = ELFCLASS64, EI_DATA = ELFDATA2LSB, EI_VERSION = EV_CURRENT.
        guard bytes.uncheckedInteger(at: 4, as: UInt8.self) == 2 else {
            throw ELFError(.unsupported, at: 4, "not a 64-bit ELF file")
        }
        guard bytes.uncheckedInteger(at: 5, as: UInt8.self) == 1 else {
            throw ELFError(.unsupported, at: 5, "not a little-endian ELF file")
        }
        guard bytes.uncheckedInteger(at: 6, as: UInt8.self) == 1, bytes.uncheckedInteger(at: 20, as: UInt32.self) == 1
        else { throw ELFError(.unsupported, at: 6, "not ELF version 1") }

        abi = bytes.uncheckedInteger(at: 7)
        abiVersion = bytes.uncheckedInteger(at: 8)
        type = ObjectType(rawValue: bytes.uncheckedInteger(at: 16))
        machine = Machine(rawValue: bytes.uncheckedInteger(at: 18))
        entryPoint = bytes.uncheckedInteger(at: 24)
        segmentTableOffset = bytes.uncheckedInteger(at: 32)
        sectionTableOffset = bytes.uncheckedInteger(at: 40)
        flags = bytes.uncheckedInteger(at: 48)
        segmentCount = Int(bytes.uncheckedInteger(at: 56, as: UInt16.self))
        sectionCount = Int(bytes.uncheckedInteger(at: 60, as: UInt16.self))
        sectionNamesIndex = Int(bytes.uncheckedInteger(at: 62, as: UInt16.self))
        try checkRecordSizes(bytes)
        if readingSections {
            try readExtendedNumbers(bytes)
        } else {
            sectionTableOffset = 0
            sectionCount = 0
            sectionNamesIndex = 0
        }
    }

    private func checkRecordSizes(_ bytes: RawSpan) throws(ELFError) {
        let segmentSize = bytes.uncheckedInteger(at: 54, as: UInt16.self)
        if segmentCount > 0, segmentSize != Segment.recordSize {
            throw ELFError(.malformed, at: 54, "program headers of \(segmentSize) bytes instead of 56")
        }
        let sectionSize = bytes.uncheckedInteger(at: 58, as: UInt16.self)
        if sectionTableOffset != 0, sectionSize != Section.recordSize {
            throw ELFError(.malformed, at: 58, "section headers of \(sectionSize) bytes instead of 64")
        }
    }

    /// gABI, "ELF Header": numbers that do not fit into 16 bits stand in section header 0.
    private mutating func readExtendedNumbers(_ bytes: RawSpan) throws(ELFError) {
        guard sectionTableOffset != 0 else {
            guard sectionCount == 0, segmentCount != 0xffff else {
                throw ELFError(.malformed, at: 60, "sections are counted but there is no section header table")
            }
            sectionNamesIndex = 0
            return
        }
        guard sectionCount == 0 || sectionNamesIndex == 0xffff || segmentCount == 0xffff else { return }
        let record = try bytes.slice(offset: sectionTableOffset, count: UInt64(Section.recordSize))
        let null = Section(unchecked: record, at: 0, index: 0)
        if sectionCount == 0 {
            guard null.size <= UInt64(bytes.byteCount / Section.recordSize) else {
                throw ELFError(.malformed, at: sectionTableOffset, "more section headers than the file has room for")
            }
            sectionCount = Int(null.size)
        }
        if sectionNamesIndex == 0xffff { sectionNamesIndex = Int(null.link) }
        if segmentCount == 0xffff { segmentCount = Int(null.info) }
    }
}
