//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A range of addresses in a process: `lower..<upper`, never running past the end of the address space.
package struct AddressRange: Sendable, Hashable {
    /// First address.
    package var lower: UInt64
    /// Address behind the last one; at least `lower`.
    package var upper: UInt64

    /// Makes a range; an upper bound below the lower one gives an empty range.
    package init(lower: UInt64, upper: UInt64) {
        self.lower = lower
        self.upper = max(lower, upper)
    }

    /// Makes a range of `size` bytes; nil if it runs past the end of the address space.
    package init?(start: UInt64, size: UInt64) {
        let (end, overflow) = start.addingReportingOverflow(size)
        guard !overflow else { return nil }
        self.init(lower: start, upper: end)
    }

    /// Number of bytes.
    package var size: UInt64 { upper - lower }

    /// Whether the address lies in the range.
    package func contains(_ address: UInt64) -> Bool { address >= lower && address < upper }

    /// Whether the other range lies in this one completely.
    package func contains(_ other: AddressRange) -> Bool { other.lower >= lower && other.upper <= upper }

    /// Whether the two ranges share an address.
    package func overlaps(_ other: AddressRange) -> Bool { lower < other.upper && other.lower < upper }
}
