//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Where a patch memory goes: near its target, at an address that depends only on the target's place and the
/// patch, so that the next run finds the memory of a run that was killed.
package struct Placement: Sendable {
    /// The target's mappings in the process, from the first to the last address.
    private let object: AddressRange
    /// All that is mapped, sorted, with what must stay free around it.
    private let occupied: [AddressRange]
    /// Patch memories are 64 KiB apart, so that the kernel does not join two into one mapping.
    private static let stride: UInt64 = 0x1_0000
    /// A jump and a `relative32` reach 2 GiB; this much is kept as a reserve.
    private static let reach: UInt64 = 0x7fff_0000 - 0x10_0000
    /// Lowest address used (`vm.mmap_min_addr` is 64 KiB by default).
    private static let lowest: UInt64 = 0x2_0000
    /// Highest address used: the end of the lower half with 4-level page tables.
    private static let highest: UInt64 = 0x7fff_ffff_0000

    /// Describes the surroundings of one target.
    ///
    /// - Parameters:
    ///   - object: the target's mappings, from the first to the last address.
    ///   - mappings: everything that is mapped.
    package init(object: AddressRange, mappings: [AddressRange]) {
        self.object = object
        self.occupied = mappings.sorted { $0.lower < $1.lower }
    }

    /// Addresses to try, best first: free ones and those that `isOwn` says hold an unfinished patch memory.
    ///
    /// Below the object first: above it lie the heap of an executable and, often, other libraries.
    ///
    /// - Parameters:
    ///   - size: bytes needed.
    ///   - seed: spreads different patches over different addresses.
    ///   - isOwn: whether the mapping that begins at an address may be one of ours that was not filled.
    /// - Returns: the first address that is free or ours; nil if there is no room within reach.
    package func address(
        size: UInt64, seed: UInt64, taken: [AddressRange] = [], isOwn: (UInt64) -> Bool
    ) -> UInt64? {
        let gap: UInt64 = 0x10_0000
        let floor = object.upper > Self.reach + Self.lowest ? object.upper - Self.reach : Self.lowest
        let start = object.lower & ~(Self.stride - 1)
        // Below, 1 MiB and more away; the seed chooses among the first 64 places.
        if start > gap {
            let top = start - gap
            for first in [seed % 64, 0] {
                var candidate = top &- (first * Self.stride)
                if candidate > top { continue }
                while candidate >= floor {
                    if isOwn(candidate) { return candidate }
                    guard let blocker = blocker(of: candidate, size: size, taken: taken) else { return candidate }
                    // Down below what is in the way.
                    let next = min(candidate - min(candidate, Self.stride), below(blocker, size: size))
                    if next >= candidate { break }
                    candidate = next
                }
            }
        }
        // Above, at least 1 GiB away, out of the way of a growing heap.
        let (ceilingValue, overflow) = object.lower.addingReportingOverflow(Self.reach)
        let ceiling = overflow ? Self.highest : min(ceilingValue, Self.highest)
        var candidate = (object.upper &+ 0x4000_0000 &+ Self.stride) & ~(Self.stride - 1)
        while candidate > object.upper, candidate &+ size <= ceiling {
            if isOwn(candidate) { return candidate }
            guard let blocker = blocker(of: candidate, size: size, taken: taken) else { return candidate }
            let next = max(candidate, (blocker.upper &+ Self.stride &+ 0xfff) & ~(Self.stride - 1)) &+ Self.stride
            if next <= candidate { break }
            candidate = next
        }
        return nil
    }

    /// What lies within a page of the place.
    private func blocker(of address: UInt64, size: UInt64, taken: [AddressRange]) -> AddressRange? {
        let wanted = AddressRange(lower: address - min(address, 0x1000), upper: address &+ size &+ 0x1000)
        if let other = taken.first(where: { $0.overlaps(wanted) }) { return other }
        // The first mapping that ends above the place.
        var low = 0
        var high = occupied.count
        while low < high {
            let middle = (low + high) / 2
            if occupied[middle].upper > wanted.lower { high = middle } else { low = middle + 1 }
        }
        guard low < occupied.count, occupied[low].overlaps(wanted) else { return nil }
        return occupied[low]
    }

    /// The highest aligned place below a mapping.
    private func below(_ blocker: AddressRange, size: UInt64) -> UInt64 {
        let needed = size &+ 0x2000
        guard blocker.lower > needed else { return 0 }
        return (blocker.lower - needed) & ~(Self.stride - 1)
    }
}
