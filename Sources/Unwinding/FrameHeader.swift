//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// `.eh_frame_hdr`: where `.eh_frame` lies, and its functions sorted by address (LSB Core, section 10.6.2).
package struct FrameHeader: Sendable, Equatable {
    /// One line of the search table.
    package struct Entry: Sendable, Equatable {
        /// First address of the function.
        package var start: UInt64
        /// Address of its FDE.
        package var descriptionAddress: UInt64
    }

    /// Address of `.eh_frame`.
    package let sectionAddress: UInt64
    /// The search table.
    package let entries: [Entry]

    /// Reads a header.
    ///
    /// - Parameters:
    ///   - bytes: the contents of `PT_GNU_EH_FRAME`.
    ///   - address: address of the first byte.
    /// - Throws: `malformed` for another version or a header without a table, `truncated`,
    ///   `unsupportedEncoding` for other tables than the one that linkers make (`datarel | sdata4`).
    package init(_ bytes: [UInt8], address: UInt64) throws(UnwindError) {
        var cursor = try ByteCursor(bytes, 0..<bytes.count)
        guard try cursor.byte() == 1 else {
            throw UnwindError(.malformed, "The search table has an unknown version.", at: 0)
        }
        let section = PointerEncoding(value: try cursor.byte())
        let count = PointerEncoding(value: try cursor.byte())
        let table = PointerEncoding(value: try cursor.byte())
        guard section != .omitted, count != .omitted, !section.isIndirect, !count.isIndirect else {
            throw UnwindError(.unsupportedEncoding, "The unwind information has no search table.", at: 1)
        }
        sectionAddress = try section.pointer(&cursor, sectionAddress: address, dataAddress: address)
        let number = try count.pointer(&cursor, sectionAddress: address, dataAddress: address)
        guard table == PointerEncoding(value: 0x3B) else {
            throw UnwindError(.unsupportedEncoding, "The search table has an unknown encoding.", at: 3)
        }
        guard number <= UInt64(cursor.end - cursor.position) / 8 else {
            throw UnwindError(.truncated, "The search table ends too early.", at: cursor.position)
        }
        var entries: [Entry] = []
        entries.reserveCapacity(Int(number))
        for _ in 0..<number {
            let start = try table.pointer(&cursor, sectionAddress: address, dataAddress: address)
            let description = try table.pointer(&cursor, sectionAddress: address, dataAddress: address)
            entries.append(Entry(start: start, descriptionAddress: description))
        }
        self.entries = entries
    }
}
