//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A loadable segment (`PT_LOAD`) of an object in a process.
package struct LoadedSegment: Sendable, Equatable {
    /// Target-relative addresses: `p_vaddr` to `p_vaddr + p_memsz`.
    package var range: Range<UInt64>
    /// `p_offset`.
    package var fileOffset: UInt64
    /// `p_filesz`.
    package var fileSize: UInt64
    /// `p_flags`: PF_X 1, PF_W 2, PF_R 4.
    package var flags: UInt32

    /// Whether it holds code.
    package var isExecutable: Bool { flags & 1 != 0 }
}

/// One ELF object as it is loaded in a process: identified by its own bytes in memory.
package struct LoadedObject: Sendable, Equatable {
    /// Where it comes from.
    package enum Kind: String, Sendable {
        /// The program itself.
        case executable
        /// Anything else from a file: libraries, the dynamic linker.
        case library
        /// The kernel's vDSO.
        case vdso
    }

    /// Where it comes from.
    package var kind: Kind
    /// Path as the kernel shows it (see `Mapping.name`).
    package var name: [UInt8]
    /// The file; nil for the vDSO.
    package var identity: FileIdentity?
    /// Whether the file has no name any more (deleted or replaced).
    package var isDeleted: Bool
    /// Contents of the `NT_GNU_BUILD_ID` note as it is in memory; nil if there is none.
    package var buildID: [UInt8]?
    /// `e_machine`; 62 is x86-64.
    package var machine: UInt16
    /// `e_type`: ET_EXEC 2, ET_DYN 3.
    package var type: UInt16
    /// What is added to a target-relative address (0 for executables that are not position independent).
    package var loadBias: UInt64
    /// All loadable segments, sorted by address.
    package var segments: [LoadedSegment]
    /// Target-relative address and size of `.eh_frame_hdr` (`PT_GNU_EH_FRAME`), nil if there is none.
    package var unwindHeader: Range<UInt64>?
    /// Target-relative address and size of the dynamic section (`PT_DYNAMIC`), nil if there is none.
    package var dynamicSection: Range<UInt64>?

    /// Addresses in the process from the first to the end of the last segment.
    package var range: Range<UInt64> {
        guard let first = segments.first, let last = segments.last else { return loadBias..<loadBias }
        return (loadBias &+ first.range.lowerBound)..<(loadBias &+ last.range.upperBound)
    }
    /// Addresses in the process of each segment that holds code.
    package var text: [Range<UInt64>] {
        segments.filter(\.isExecutable).map { (loadBias &+ $0.range.lowerBound)..<(loadBias &+ $0.range.upperBound) }
    }
    /// `name` for people.
    package var displayName: String { PrintableBytes.text(of: name) }
}
