//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

extension ELFImage {
    /// The program headers; none where the file has none.
    ///
    /// - Throws: `ELFError` where they do not lie in the bytes.
    package var segments: Table<Segment> {
        @_lifetime(copy self)
        get throws(ELFError) {
            if header.segmentCount == 0 { return Table(try bytes.slice(offset: 0, count: 0)) }
            return Table(
                try bytes.slice(
                    offset: header.segmentTableOffset, count: UInt64(header.segmentCount) * UInt64(Segment.recordSize)))
        }
    }

    /// The first segment of a type, or nil.
    ///
    /// - Throws: `ELFError` where the program headers do not lie in the bytes.
    package func segment(type: SegmentType) throws(ELFError) -> Segment? {
        let segments = try segments
        for index in 0..<segments.count {
            let segment = try segments[index]
            if segment.type == type { return segment }
        }
        return nil
    }

    /// The bytes that a segment has in the file, or in memory (`p_filesz` of them either way).
    ///
    /// - Throws: `ELFError` where they do not lie in the bytes.
    @_lifetime(copy self)
    package func contents(of segment: Segment) throws(ELFError) -> RawSpan {
        if loadBias != nil { return try contents(atAddress: segment.address, count: segment.fileSize) }
        return try bytes.slice(offset: segment.offset, count: segment.fileSize)
    }

    /// Target-relative address of the first page that is loaded: `p_vaddr` of the first `PT_LOAD`, rounded
    /// down to 4096, as the kernel and the dynamic linker map it. The load bias is where that page lies minus this.
    ///
    /// - Throws: `ELFError` (`notFound`) where nothing is loaded.
    package func firstAddress() throws(ELFError) -> UInt64 {
        guard let segment = try segment(type: .load) else {
            throw ELFError(.notFound, at: 0, "no segment is loaded")
        }
        return segment.address & ~0xfff
    }

    /// Target-relative address behind the last byte that is loaded, rounded up to a page.
    ///
    /// - Throws: `ELFError` where an end cannot be represented.
    package func endAddress() throws(ELFError) -> UInt64 {
        let segments = try segments
        var end: UInt64 = 0
        for index in 0..<segments.count {
            let segment = try segments[index]
            guard segment.type == .load else { continue }
            let (sum, overflow) = segment.address.addingReportingOverflow(segment.memorySize)
            guard !overflow, sum <= UInt64.max - 0xfff else {
                throw ELFError(.malformed, at: segment.address, "segment \(index) ends behind the address space")
            }
            end = max(end, (sum + 0xfff) & ~0xfff)
        }
        return end
    }

    /// Offset in the bytes of a target-relative address, where the file has at least `count` bytes from there
    /// in the same segment; nil where it does not.
    ///
    /// - Throws: `ELFError` where the program headers do not lie in the bytes.
    package func offset(ofAddress address: UInt64, count: UInt64 = 1) throws(ELFError) -> UInt64? {
        if loadBias != nil {
            let first = try firstAddress()
            return address >= first ? address - first : nil
        }
        let segments = try segments
        for index in 0..<segments.count {
            let segment = try segments[index]
            guard segment.type == .load, address >= segment.address else { continue }
            let distance = address - segment.address
            guard distance <= segment.fileSize, count <= segment.fileSize - distance else { continue }
            let (offset, overflow) = segment.offset.addingReportingOverflow(distance)
            return overflow ? nil : offset
        }
        return nil
    }

    /// The bytes at a target-relative address.
    ///
    /// - Throws: `ELFError` where the file does not have them (memory that is only zero at the start is not
    ///   in the file).
    @_lifetime(copy self)
    package func contents(atAddress address: UInt64, count: UInt64) throws(ELFError) -> RawSpan {
        guard let offset = try offset(ofAddress: address, count: count) else {
            throw ELFError(.outOfBounds, at: address, "\(count) bytes at an address that the file does not hold")
        }
        return try bytes.slice(offset: offset, count: count)
    }

    /// All bytes from a target-relative address to the end of what its segment has in the file.
    ///
    /// - Throws: `ELFError` where the address is in no segment.
    @_lifetime(copy self)
    package func contents(fromAddress address: UInt64) throws(ELFError) -> RawSpan {
        let segments = try segments
        for index in 0..<segments.count {
            let segment = try segments[index]
            guard segment.type == .load, address >= segment.address, address - segment.address < segment.fileSize else {
                continue
            }
            return try contents(atAddress: address, count: segment.fileSize - (address - segment.address))
        }
        throw ELFError(.outOfBounds, at: address, "an address that the file does not hold")
    }
}
