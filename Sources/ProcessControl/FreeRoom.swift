//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import ProcessInspection

/// Where memory can be mapped so that code reaches it with 32-bit displacements.
package enum FreeRoom {
    /// Addresses for `size` bytes in gaps between `mappings` such that every byte of the room and every byte of
    /// `within` are less than 2 GiB apart; nearest below `within` first, then above; the same for the same mappings.
    ///
    /// A page is left free on both sides, so that the kernel does not merge the room with a neighbour of the same
    /// protection. Keeps away from where the stack and the heap grow, and from `lowest` (`vm.mmap_min_addr`).
    package static func candidates(
        size: UInt64, within: [Range<UInt64>], mappings: [Mapping], lowest: UInt64 = 0x10000, limit: Int = 16
    ) -> [UInt64] {
        guard size > 0, size < reach, let reachable = reachable(from: within) else { return [] }
        let rounded = (size + page - 1) / page * page
        let needed = rounded + 2 * page
        var below: [UInt64] = []
        var above: [UInt64] = []
        let top = within.map(\.lowerBound).min() ?? 0
        for gap in gaps(in: mappings, lowest: lowest) {
            let range = gap.range.clamped(to: reachable)
            guard !range.isEmpty else { continue }
            let low = (range.lowerBound + page - 1) / page * page
            let high = range.upperBound / page * page
            guard low < high, high - low >= needed else { continue }
            if gap.range.upperBound <= top {
                below.append(high - page - rounded)
            } else {
                // The heap grows upwards: take the far end of a gap above it.
                above.append(gap.isAboveHeap ? high - page - rounded : low + page)
            }
        }
        return Array((below.reversed() + above).prefix(max(limit, 0)))
    }

    /// A room that an earlier run mapped and could not use before it died: anonymous, readable and executable, of the
    /// same size, at the very address that `candidates` gives first if it were not there. (Whether it is still all
    /// zeros is for the caller to see.)
    package static func abandoned(size: UInt64, within: [Range<UInt64>], mappings: [Mapping]) -> UInt64? {
        let rounded = (size + page - 1) / page * page
        for index in mappings.indices {
            let mapping = mappings[index]
            guard mapping.isAnonymous, mapping.isExecutable, mapping.isReadable, !mapping.isWritable,
                !mapping.isShared, mapping.range.upperBound - mapping.range.lowerBound == rounded
            else { continue }
            var others = mappings
            others.remove(at: index)
            if candidates(size: size, within: within, mappings: others, limit: 1).first == mapping.range.lowerBound {
                return mapping.range.lowerBound
            }
        }
        return nil
    }

    private static let page: UInt64 = 4096
    /// Less than 2 GiB by a margin for the length of an instruction.
    private static let reach: UInt64 = 0x8000_0000 - 64
    /// End of the user half (47 bits).
    private static let highest: UInt64 = 0x7fff_ffff_f000
    /// What the main thread's stack may still grow by; 8 MiB is the usual limit, and a guard gap of 1 MiB.
    private static let stackGrowth: UInt64 = 64 << 20

    private struct Gap {
        var range: Range<UInt64>
        var isAboveHeap: Bool
    }

    private static func reachable(from within: [Range<UInt64>]) -> Range<UInt64>? {
        guard let first = within.map(\.lowerBound).min(), let last = within.map(\.upperBound).max() else { return nil }
        let low = last > reach ? last - reach : 0
        let (high, overflow) = first.addingReportingOverflow(reach)
        guard !overflow, low < high else { return nil }
        return low..<high
    }

    private static func gaps(in mappings: [Mapping], lowest: UInt64) -> [Gap] {
        var gaps: [Gap] = []
        var end = lowest
        var isAboveHeap = false
        for mapping in mappings {
            var start = mapping.range.lowerBound
            if mapping.name.elementsEqual("[stack]".utf8) { start = start > stackGrowth ? start - stackGrowth : 0 }
            if start > end { gaps.append(Gap(range: end..<min(start, highest), isAboveHeap: isAboveHeap)) }
            end = min(max(end, mapping.range.upperBound), highest)
            isAboveHeap = mapping.name.elementsEqual("[heap]".utf8)
        }
        if end < highest { gaps.append(Gap(range: end..<highest, isAboveHeap: isAboveHeap)) }
        return gaps
    }
}
