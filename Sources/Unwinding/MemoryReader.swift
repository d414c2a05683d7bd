//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Something that stack words are read from: a stopped process, a copy of its stacks, a core file.
package protocol MemoryReader {
    /// Reads a little-endian number.
    ///
    /// - Parameters:
    ///   - address: address of the first byte; any value.
    ///   - count: number of bytes, 1 to 8.
    /// - Returns: the number, zero-extended; nil when one of the bytes cannot be read.
    func load(_ address: UInt64, count: Int) -> UInt64?
}

/// Copies of memory ranges, made beforehand (stacks that were read in bulk while a process stood still).
package struct MemorySnapshot: MemoryReader, Sendable {
    /// One copied range.
    package struct Region: Sendable {
        /// Address of the first byte.
        package var address: UInt64
        /// The bytes.
        package var bytes: [UInt8]

        /// Makes a region.
        package init(address: UInt64, bytes: [UInt8]) {
            self.address = address
            self.bytes = bytes
        }
    }

    private var regions: [Region]

    /// Makes a snapshot of regions in any order; where they overlap, any may answer.
    package init(_ regions: [Region]) {
        self.regions = regions.sorted { $0.address < $1.address }
    }

    /// Reads a number from the region that holds all of its bytes.
    package func load(_ address: UInt64, count: Int) -> UInt64? {
        var low = 0
        var high = regions.count
        while low < high {
            let middle = low + (high - low) / 2
            if regions[middle].address <= address { low = middle + 1 } else { high = middle }
        }
        guard low > 0, (1...8).contains(count) else { return nil }
        let distance = address - regions[low - 1].address
        let size = UInt64(regions[low - 1].bytes.count)
        guard distance < size, UInt64(count) <= size - distance else { return nil }
        var value: UInt64 = 0
        for index in 0..<count {
            value |= UInt64(regions[low - 1].bytes[Int(distance) + index]) << UInt64(8 * index)
        }
        return value
    }
}
