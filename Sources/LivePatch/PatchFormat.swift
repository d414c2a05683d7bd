//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF

/// The numbers and names of the file format (Documentation/live-patch-format.md).
package enum PatchFormat {
    /// Version of the format that is written and read.
    package static var version: UInt32 { 1 }
    /// Largest file, in bytes.
    package static var maximumFileSize: Int { 4 << 20 }
    /// Largest image, in bytes. (What may be mapped into a process is the plan's decision, and less.)
    package static var maximumImageSize: Int { 256 << 10 }
    /// Most bytes in the names of a patch's own symbols, together. Symbols share the bytes of equal names, so
    /// without it a small file could hold more text than memory.
    package static var maximumNames: Int { 4 << 20 }
    /// Most patches that a patch requires.
    package static var maximumRequires: Int { 64 }
    /// Most reasons that a patch's author waives.
    package static var maximumWaivers: Int { 64 }
    /// Most data that a patch sets.
    package static var maximumFixUps: Int { 16 }
    /// Every target-relative address is below this: the end of user space on x86-64 with four-level paging.
    package static var addressLimit: UInt64 { 1 << 47 }
    /// Size of the digest at the end of the file, in bytes.
    package static var digestSize: Int { 32 }
    /// Size of the state-pointer slot at the start of the constants, in bytes.
    package static var stateSlotSize: Int { 8 }

    /// Owner of the notes.
    static var noteOwner: String { "moult" }
    /// Start of the names of symbols that the writer makes up.
    static var reservedPrefix: String { ".Lmoult." }
    /// Unit of the size of `.moult.target`.
    static var pageSize: UInt64 { 4096 }

    /// Sections whose index is fixed.
    enum FixedSection: Int, CaseIterable {
        case code = 1
        case constants
        case unwind
        case target
        case entries
        case fixUps
        case notes

        var name: String {
            switch self {
            case .code: ".text"
            case .constants: ".rodata"
            case .unwind: ".eh_frame"
            case .target: ".moult.target"
            case .entries: ".moult.entries"
            case .fixUps: ".moult.fixups"
            case .notes: ".note.moult"
            }
        }

        var type: SectionType {
            switch self {
            case .target: .noBits
            case .notes: .note
            default: .programBits
            }
        }
    }

    /// Name of the last section.
    static var digestSection: String { ".moult.digest" }

    /// Types of the notes, in the order in which they are written.
    enum NoteType: UInt32, CaseIterable {
        case version = 1
        case identifier
        case buildID
        case targetName
        case package
        case packageVersion
        case verdict
        case cve
        case partOf
        case source
        case suite
        case vulnerableVersion
        case fixedVersion
        case reason
        case input
        case requires
        case waiver
        case adaptation

        /// Whether there may be any number of them; of the others there is exactly one.
        var isRepeated: Bool {
            switch self {
            case .cve, .reason, .input, .requires, .waiver, .adaptation: true
            default: false
            }
        }
    }
}

extension Image {
    /// The parts of an image, with the index of the section that holds each.
    enum Part: Int, CaseIterable {
        case code = 1
        case constants
        case unwind
    }

    /// The offsets in the image that a part takes.
    func range(of part: Part) -> Range<Int> {
        switch part {
        case .code: 0..<code.count
        case .constants: constantsOffset..<constantsOffset + constants.count
        case .unwind: unwindOffset..<unwindOffset + unwind.count
        }
    }

    /// The part that an offset belongs to: the last one that begins at or before it. nil in the padding
    /// between parts (the end of a part is no padding yet) and behind the image.
    func part(at offset: UInt32) -> Part? {
        let offset = Int(offset)
        for part in [Part.unwind, .constants, .code] {
            let range = range(of: part)
            if offset >= range.lowerBound { return offset <= range.upperBound ? part : nil }
        }
        return nil
    }
}

extension Relocation.Kind {
    /// Number of bytes that are written.
    package var size: Int {
        switch self {
        case .relative32: 4
        case .absolute64: 8
        }
    }

    /// The psABI's type.
    var elfType: RelocationType {
        switch self {
        case .relative32: .pc32
        case .absolute64: .absolute64
        }
    }

    /// The kind for a psABI type, or nil.
    init?(elfType: RelocationType) {
        switch elfType {
        case .pc32: self = .relative32
        case .absolute64: self = .absolute64
        default: return nil
        }
    }
}
