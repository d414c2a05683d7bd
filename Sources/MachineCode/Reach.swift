//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// How far 32-bit displacements reach, and where an image may lie so that all of its do.
package enum Reach {
    /// Lowest address that an image is ever placed at: above what `vm.mmap_min_addr` forbids.
    package static var lowestAddress: UInt64 { 0x1_0000 }
    /// First address behind user space on x86-64 with 4-level page tables (`TASK_SIZE_MAX` of the kernel).
    package static var userSpaceEnd: UInt64 { 0x7FFF_FFFF_F000 }

    /// The displacement that leads from the end of an instruction to `destination`.
    ///
    /// - Parameters:
    ///   - end: address of the byte behind the instruction.
    ///   - destination: address that is meant.
    /// - Returns: the displacement, nil when it does not fit in 32 bits.
    package static func displacement(from end: UInt64, to destination: UInt64) -> Int32? {
        if destination >= end {
            return Int32(exactly: destination - end)
        }
        let distance = end - destination
        guard distance <= 1 << 31 else { return nil }
        return Int32(exactly: -Int64(distance))
    }

    /// Where an image may start so that every 32-bit displacement between it and the target fits, whichever
    /// byte of either it starts at and leads to.
    ///
    /// - Parameters:
    ///   - imageSize: size of the image in bytes.
    ///   - target: the target's addresses in the process, first to one behind the last.
    ///   - margin: bytes beyond the target's ends that must be reached too (relocation addends).
    ///   - alignment: a power of two that the start is a multiple of: the page size.
    /// - Returns: lowest and highest start, both multiples of `alignment` and in user space; nil when there
    ///   is none. Whether the place is free, and outside of the target, is not looked at.
    package static func placement(
        imageSize: UInt64, target: Range<UInt64>, margin: UInt64 = 0, alignment: UInt64 = 4096
    ) -> ClosedRange<UInt64>? {
        let span = UInt64(Int32.max)
        guard alignment > 0, alignment & (alignment - 1) == 0, imageSize <= span, margin <= span,
            target.upperBound <= userSpaceEnd, imageSize <= userSpaceEnd
        else { return nil }
        let end = target.upperBound + margin
        let start = target.lowerBound > margin ? target.lowerBound - margin : 0
        // start of image -> end of target, and end of image -> start of target, must both fit.
        let lowest = max(end > span ? end - span : 0, lowestAddress)
        let highest = min(start + span - imageSize, userSpaceEnd - imageSize)
        let first = (lowest + (alignment - 1)) & ~(alignment - 1)
        let last = highest & ~(alignment - 1)
        return first <= last ? first...last : nil
    }
}
