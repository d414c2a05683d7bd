//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A `DW_EH_PE_*` byte: how a pointer is stored (Linux Standard Base Core, section 10.5.1).
struct PointerEncoding: Equatable, Sendable {
    /// The byte.
    let value: UInt8

    static var omitted: PointerEncoding { PointerEncoding(value: 0xFF) }
    /// `DW_EH_PE_pcrel | DW_EH_PE_sdata4`, what compilers emit and what we write.
    static var relativeSigned4: PointerEncoding { PointerEncoding(value: 0x1B) }

    /// `DW_EH_PE_indirect`: the pointer is the address of a slot that holds the real one.
    var isIndirect: Bool { value & 0x80 != 0 }

    /// Size in bytes of a stored pointer, nil for LEB128.
    var size: Int? {
        switch value & 0x07 {
        case 0, 4: 8
        case 2: 2
        case 3: 4
        default: nil
        }
    }

    /// Reads the stored number without its application.
    func rawValue(_ cursor: inout ByteCursor) throws(UnwindError) -> UInt64 {
        switch value & 0x0F {
        case 0x00, 0x04: return try cursor.unsigned(8)
        case 0x01: return try cursor.uleb128()
        case 0x02: return try cursor.unsigned(2)
        case 0x03: return try cursor.unsigned(4)
        case 0x09: return UInt64(bitPattern: try cursor.sleb128())
        case 0x0A: return UInt64(bitPattern: try cursor.signed(2))
        case 0x0B: return UInt64(bitPattern: try cursor.signed(4))
        case 0x0C: return UInt64(bitPattern: try cursor.signed(8))
        default: throw unsupported(cursor)
        }
    }

    /// Reads a pointer.
    ///
    /// - Parameters:
    ///   - sectionAddress: address of the cursor's position 0.
    ///   - dataAddress: what `DW_EH_PE_datarel` counts from, nil when not known.
    /// - Throws: `unsupportedEncoding` for text-, function-relative, aligned and omitted pointers, and where
    ///   the base is not known. Whether it is indirect is the caller's matter.
    func pointer(
        _ cursor: inout ByteCursor, sectionAddress: UInt64, dataAddress: UInt64?
    ) throws(UnwindError) -> UInt64 {
        let place = sectionAddress &+ UInt64(cursor.position)
        let base: UInt64
        switch value & 0x70 {
        case 0x00: base = 0
        case 0x10: base = place
        case 0x30:
            guard let dataAddress else { throw unsupported(cursor) }
            base = dataAddress
        default: throw unsupported(cursor)
        }
        return base &+ (try rawValue(&cursor))
    }

    private func unsupported(_ cursor: ByteCursor) -> UnwindError {
        UnwindError(.unsupportedEncoding, "A pointer encoding is not understood.", at: cursor.position)
    }
}
