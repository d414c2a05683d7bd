//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The unwind rules of one object: `.eh_frame`, with an index by address (System V psABI x86-64, section
/// 4.2.4; LSB Core, section 10.6).
///
/// Made once per object and shared by all processes that map it: with the addresses of the object's file,
/// and the load bias given at each look-up (`LocatedFrameTable`).
package struct FrameTable: Sendable {
    /// The section's bytes; behind its zero terminator there may be others.
    let bytes: [UInt8]
    /// Address of its first byte.
    package let address: UInt64
    /// What `DW_EH_PE_datarel` counts from, nil when not known.
    let dataAddress: UInt64?
    /// First addresses of the functions, ascending.
    private var starts: [UInt64] = []
    /// Offsets of their FDEs in `bytes`, same order.
    private var offsets: [UInt32] = []
    /// CIEs that were parsed while indexing, ascending by offset.
    private var common: [CommonInformation] = []

    /// How many FDEs could not be understood and are not found by address. (Their functions count as having
    /// no rules.)
    package private(set) var unreadableCount = 0

    /// Number of functions in the index.
    package var count: Int { starts.count }

    /// Indexes a section by scanning it.
    ///
    /// - Parameters:
    ///   - section: the bytes of `.eh_frame`, up to its end or beyond its zero terminator.
    ///   - address: address of its first byte.
    ///   - dataAddress: address of the global offset table, for rules that count from it (no compiler for
    ///     x86-64 emits such).
    /// - Throws: `truncated` or `malformed` when the chain of entries is broken. A single entry that is
    ///   not understood is left out.
    package init(section: [UInt8], address: UInt64, dataAddress: UInt64? = nil) throws(UnwindError) {
        self.init(unindexed: section, address: address, dataAddress: dataAddress)
        var unsorted: [(start: UInt64, offset: UInt32)] = []
        var offset = 0
        var isSorted = true
        while section.count - offset >= 4 {
            if section[offset] == 0, section[offset + 1] == 0, section[offset + 2] == 0, section[offset + 3] == 0 {
                break
            }
            let entry = try EntryHeader(section, at: offset)
            if entry.identifier == 0 {
                if let information = try? CommonInformation(section, at: offset) { common.append(information) }
            } else if let description = try? description(at: offset), description.size > 0 {
                if let last = unsorted.last, last.start > description.start { isSorted = false }
                unsorted.append((description.start, UInt32(truncatingIfNeeded: offset)))
            } else if (try? description(at: offset)) == nil {
                unreadableCount += 1
            }
            offset = entry.contents.upperBound
        }
        if !isSorted { unsorted.sort { ($0.start, $0.offset) < ($1.start, $1.offset) } }
        starts = unsorted.map { $0.start }
        offsets = unsorted.map { $0.offset }
    }

    /// Takes the index that the linker made: the binary search table of `.eh_frame_hdr`, which a process has
    /// mapped (`PT_GNU_EH_FRAME`; LSB Core, section 10.6.2). Nothing is scanned.
    ///
    /// - Parameters:
    ///   - section: the bytes of `.eh_frame`, from where the header says (`FrameHeader.sectionAddress`).
    ///   - header: the parsed header.
    /// - Throws: `malformed` when the table's entries do not ascend or lie outside of the section.
    package init(section: [UInt8], header: FrameHeader) throws(UnwindError) {
        self.init(unindexed: section, address: header.sectionAddress, dataAddress: nil)
        starts.reserveCapacity(header.entries.count)
        offsets.reserveCapacity(header.entries.count)
        for entry in header.entries {
            let (offset, overflow) = entry.descriptionAddress.subtractingReportingOverflow(address)
            guard !overflow, offset < UInt64(section.count), let offset = UInt32(exactly: offset),
                starts.last.map({ $0 <= entry.start }) ?? true
            else {
                throw UnwindError(.malformed, "The search table does not fit the unwind information.", at: entry.start)
            }
            starts.append(entry.start)
            offsets.append(offset)
        }
    }

    private init(unindexed section: [UInt8], address: UInt64, dataAddress: UInt64?) {
        bytes = section
        self.address = address
        self.dataAddress = dataAddress
    }

    /// The rules that cover an address.
    ///
    /// - Returns: nil when none do.
    /// - Throws: when the entry is not understood.
    package func description(covering address: UInt64) throws(UnwindError) -> FrameDescription? {
        var low = 0
        var high = starts.count
        while low < high {
            let middle = low + (high - low) / 2
            if starts[middle] <= address { low = middle + 1 } else { high = middle }
        }
        // Of several that start at one address any may be the one that covers it.
        while low > 0 {
            let description = try description(at: Int(offsets[low - 1]))
            if description.covers(address) { return description }
            guard low > 1, starts[low - 2] == starts[low - 1] else { return nil }
            low -= 1
        }
        return nil
    }

    /// The FDE of a function in the index, in ascending order of addresses.
    ///
    /// - Throws: when the entry is not understood, or there is no such index.
    package func description(index: Int) throws(UnwindError) -> FrameDescription {
        guard offsets.indices.contains(index) else {
            throw UnwindError(.truncated, "There is no such entry.", at: max(index, 0))
        }
        return try description(at: Int(offsets[index]))
    }

    /// Reads the FDE whose length field lies at `offset`.
    func description(at offset: Int) throws(UnwindError) -> FrameDescription {
        try FrameDescription(bytes, at: offset, sectionAddress: address, dataAddress: dataAddress) {
            (offset) throws(UnwindError) in try commonInformation(at: offset)
        }
    }

    private func commonInformation(at offset: Int) throws(UnwindError) -> CommonInformation {
        var low = 0
        var high = common.count
        while low < high {
            let middle = low + (high - low) / 2
            if common[middle].offset < offset { low = middle + 1 } else { high = middle }
        }
        if low < common.count, common[low].offset == offset { return common[low] }
        return try CommonInformation(bytes, at: offset)
    }

    /// The rules that hold at an address.
    ///
    /// - Parameters:
    ///   - address: an address that `description` covers.
    ///   - description: its FDE.
    /// - Throws: when an instruction up to there is not understood.
    package func rules(at address: UInt64, of description: FrameDescription) throws(UnwindError) -> FrameRules {
        var program = CallFrameProgram(bytes: bytes, description: description)
        return try program.rules(at: address)
    }
}
