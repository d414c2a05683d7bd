//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A relocation with addend, as the file holds it.
@usableFromInline
package struct ELFRelocation: ELFRecord, Equatable {
    /// `r_offset`: where it applies: a target-relative address; in a relocatable object an offset in the
    /// section that `Section.info` of the table tells.
    @usableFromInline package var offset: UInt64
    /// The lower half of `r_info`: how the value is computed.
    @usableFromInline package var type: RelocationType
    /// The upper half of `r_info`: index of the symbol, 0 for none.
    @usableFromInline package var symbol: UInt32
    /// `r_addend`.
    @usableFromInline package var addend: Int64

    /// Size of a relocation in the file.
    @inlinable package static var recordSize: Int { 24 }

    /// Reads a relocation.
    @inlinable
    package init(unchecked bytes: RawSpan, at offset: Int, index: Int) {
        self.offset = bytes.uncheckedInteger(at: offset)
        type = RelocationType(rawValue: bytes.uncheckedInteger(at: offset &+ 8))
        symbol = bytes.uncheckedInteger(at: offset &+ 12)
        addend = bytes.uncheckedInteger(at: offset &+ 16)
    }

    /// Makes a relocation of its parts.
    @inlinable
    package init(offset: UInt64, type: RelocationType, symbol: UInt32, addend: Int64) {
        self.offset = offset
        self.type = type
        self.symbol = symbol
        self.addend = addend
    }
}

/// A relocation section: its records and what it applies to.
package struct RelocationSection: Sendable, Equatable {
    /// The section header of type `SHT_RELA`.
    package var section: Section
    /// Index of the section that is relocated, 0 where addresses are meant.
    package var appliesTo: Int
    /// Index of the symbol table.
    package var symbolTable: Int
}

/// How a relocation's value is computed: the x86-64 types (System V psABI, x86-64, table 4.9). In the
/// comments S is the symbol, A the addend, P the place, G the GOT slot, GOT its start, L the PLT stub, Z the size,
/// B the load bias.
@usableFromInline
package struct RelocationType: RawRepresentable, Sendable, Hashable {
    /// The value in the file.
    @usableFromInline package var rawValue: UInt32
    /// Makes a type of its value in the file.
    @inlinable package init(rawValue: UInt32) { self.rawValue = rawValue }
}

extension RelocationType {
    /// `R_X86_64_NONE`.
    package static var none: RelocationType { RelocationType(rawValue: 0) }
    /// `R_X86_64_64`: 64 bits, S + A.
    package static var absolute64: RelocationType { RelocationType(rawValue: 1) }
    /// `R_X86_64_PC32`: 32 bits, S + A - P.
    package static var pc32: RelocationType { RelocationType(rawValue: 2) }
    /// `R_X86_64_GOT32`: 32 bits, G + A.
    package static var got32: RelocationType { RelocationType(rawValue: 3) }
    /// `R_X86_64_PLT32`: 32 bits, L + A - P.
    package static var plt32: RelocationType { RelocationType(rawValue: 4) }
    /// `R_X86_64_COPY`: copied by the dynamic linker.
    package static var copy: RelocationType { RelocationType(rawValue: 5) }
    /// `R_X86_64_GLOB_DAT`: 64 bits, S.
    package static var globalData: RelocationType { RelocationType(rawValue: 6) }
    /// `R_X86_64_JUMP_SLOT`: 64 bits, S.
    package static var jumpSlot: RelocationType { RelocationType(rawValue: 7) }
    /// `R_X86_64_RELATIVE`: 64 bits, B + A.
    package static var relative: RelocationType { RelocationType(rawValue: 8) }
    /// `R_X86_64_GOTPCREL`: 32 bits, G + GOT + A - P.
    package static var gotPCRelative: RelocationType { RelocationType(rawValue: 9) }
    /// `R_X86_64_32`: 32 bits, S + A, zero-extended.
    package static var absolute32: RelocationType { RelocationType(rawValue: 10) }
    /// `R_X86_64_32S`: 32 bits, S + A, sign-extended.
    package static var absolute32Signed: RelocationType { RelocationType(rawValue: 11) }
    /// `R_X86_64_16`: 16 bits, S + A.
    package static var absolute16: RelocationType { RelocationType(rawValue: 12) }
    /// `R_X86_64_PC16`: 16 bits, S + A - P.
    package static var pc16: RelocationType { RelocationType(rawValue: 13) }
    /// `R_X86_64_8`: 8 bits, S + A.
    package static var absolute8: RelocationType { RelocationType(rawValue: 14) }
    /// `R_X86_64_PC8`: 8 bits, S + A - P.
    package static var pc8: RelocationType { RelocationType(rawValue: 15) }
    /// `R_X86_64_DTPMOD64`: 64 bits, the TLS module's number.
    package static var threadLocalModule: RelocationType { RelocationType(rawValue: 16) }
    /// `R_X86_64_DTPOFF64`: 64 bits, the offset in the TLS module's block.
    package static var threadLocalOffset64: RelocationType { RelocationType(rawValue: 17) }
    /// `R_X86_64_TPOFF64`: 64 bits, the offset from the thread pointer.
    package static var threadPointerOffset64: RelocationType { RelocationType(rawValue: 18) }
    /// `R_X86_64_TLSGD`: 32 bits, a pair of GOT slots, general dynamic model.
    package static var tlsGeneralDynamic: RelocationType { RelocationType(rawValue: 19) }
    /// `R_X86_64_TLSLD`: 32 bits, a pair of GOT slots, local dynamic model.
    package static var tlsLocalDynamic: RelocationType { RelocationType(rawValue: 20) }
    /// `R_X86_64_DTPOFF32`: 32 bits, the offset in the TLS module's block.
    package static var threadLocalOffset32: RelocationType { RelocationType(rawValue: 21) }
    /// `R_X86_64_GOTTPOFF`: 32 bits, a GOT slot that holds the offset from the thread pointer.
    package static var gotThreadPointerOffset: RelocationType { RelocationType(rawValue: 22) }
    /// `R_X86_64_TPOFF32`: 32 bits, the offset from the thread pointer.
    package static var threadPointerOffset32: RelocationType { RelocationType(rawValue: 23) }
    /// `R_X86_64_PC64`: 64 bits, S + A - P.
    package static var pc64: RelocationType { RelocationType(rawValue: 24) }
    /// `R_X86_64_GOTOFF64`: 64 bits, S + A - GOT.
    package static var gotOffset64: RelocationType { RelocationType(rawValue: 25) }
    /// `R_X86_64_GOTPC32`: 32 bits, GOT + A - P.
    package static var gotPC32: RelocationType { RelocationType(rawValue: 26) }
    /// `R_X86_64_GOT64`: 64 bits, G + A.
    package static var got64: RelocationType { RelocationType(rawValue: 27) }
    /// `R_X86_64_GOTPCREL64`: 64 bits, G + GOT - P + A.
    package static var gotPCRelative64: RelocationType { RelocationType(rawValue: 28) }
    /// `R_X86_64_GOTPC64`: 64 bits, GOT - P + A.
    package static var gotPC64: RelocationType { RelocationType(rawValue: 29) }
    /// `R_X86_64_GOTPLT64`: 64 bits, G + A.
    package static var gotPLT64: RelocationType { RelocationType(rawValue: 30) }
    /// `R_X86_64_PLTOFF64`: 64 bits, L - GOT + A.
    package static var pltOffset64: RelocationType { RelocationType(rawValue: 31) }
    /// `R_X86_64_SIZE32`: 32 bits, Z + A.
    package static var size32: RelocationType { RelocationType(rawValue: 32) }
    /// `R_X86_64_SIZE64`: 64 bits, Z + A.
    package static var size64: RelocationType { RelocationType(rawValue: 33) }
    /// `R_X86_64_GOTPC32_TLSDESC`: 32 bits, a TLS descriptor's GOT slot.
    package static var gotPC32TLSDescriptor: RelocationType { RelocationType(rawValue: 34) }
    /// `R_X86_64_TLSDESC_CALL`: none, marks the call through a TLS descriptor.
    package static var tlsDescriptorCall: RelocationType { RelocationType(rawValue: 35) }
    /// `R_X86_64_TLSDESC`: a TLS descriptor.
    package static var tlsDescriptor: RelocationType { RelocationType(rawValue: 36) }
    /// `R_X86_64_IRELATIVE`: 64 bits, what the function at B + A returns.
    package static var indirectRelative: RelocationType { RelocationType(rawValue: 37) }
    /// `R_X86_64_RELATIVE64`: 64 bits, B + A.
    package static var relative64: RelocationType { RelocationType(rawValue: 38) }
    /// `R_X86_64_GOTPCRELX`: as `gotPCRelative`, may be relaxed by the linker (no REX prefix).
    package static var gotPCRelativeRelaxable: RelocationType { RelocationType(rawValue: 41) }
    /// `R_X86_64_REX_GOTPCRELX`: as `gotPCRelative`, may be relaxed by the linker (with REX prefix).
    package static var gotPCRelativeRelaxableREX: RelocationType { RelocationType(rawValue: 42) }
}

extension RelocationType {
    /// The psABI's name without `R_X86_64_`, or nil where it is not known here.
    package var x86_64Name: String? {
        rawValue < 43 ? Self.names[Int(rawValue)] : nil
    }

    private static var names: [String?] {
        [
            "NONE", "64", "PC32", "GOT32", "PLT32", "COPY", "GLOB_DAT", "JUMP_SLOT", "RELATIVE", "GOTPCREL", "32",
            "32S",
            "16", "PC16", "8", "PC8", "DTPMOD64", "DTPOFF64", "TPOFF64", "TLSGD", "TLSLD", "DTPOFF32", "GOTTPOFF",
            "TPOFF32", "PC64", "GOTOFF64", "GOTPC32", "GOT64", "GOTPCREL64", "GOTPC64", "GOTPLT64", "PLTOFF64",
            "SIZE32", "SIZE64", "GOTPC32_TLSDESC", "TLSDESC_CALL", "TLSDESC", "IRELATIVE", "RELATIVE64", nil, nil,
            "GOTPCRELX", "REX_GOTPCRELX",
        ]
    }
}
