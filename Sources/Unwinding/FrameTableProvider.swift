//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A frame table together with where its object lies in a process.
package struct LocatedFrameTable: Sendable {
    /// The object's rules.
    package var table: FrameTable
    /// What is added to the table's addresses to get the process's: the load bias, modulo 2^64.
    package var bias: UInt64

    /// Puts a table at its place.
    package init(table: FrameTable, bias: UInt64) {
        self.table = table
        self.bias = bias
    }
}

/// The rules of everything that is mapped into a process: objects, the vDSO, patch memory.
package protocol FrameTableProvider {
    /// The table of the object that an address belongs to, nil when none is known.
    func table(containing address: UInt64) -> LocatedFrameTable?
}

/// Frame tables by the address ranges that their objects occupy in a process.
package struct FrameTableMap: FrameTableProvider, Sendable {
    private var ranges: [Range<UInt64>] = []
    private var tables: [LocatedFrameTable] = []

    /// An empty map.
    package init() {}

    /// Adds an object.
    ///
    /// - Parameters:
    ///   - table: its rules.
    ///   - range: the addresses of its executable mappings in the process. Where ranges overlap, the one
    ///     that starts last is asked.
    package mutating func insert(_ table: LocatedFrameTable, for range: Range<UInt64>) {
        let index = position(after: range.lowerBound)
        ranges.insert(range, at: index)
        tables.insert(table, at: index)
    }

    /// The table of the range that contains the address.
    package func table(containing address: UInt64) -> LocatedFrameTable? {
        let index = position(after: address)
        guard index > 0, ranges[index - 1].contains(address) else { return nil }
        return tables[index - 1]
    }

    /// Number of ranges that start at or before the address.
    private func position(after address: UInt64) -> Int {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = low + (high - low) / 2
            if ranges[middle].lowerBound <= address { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
