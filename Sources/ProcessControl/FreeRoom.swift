//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import ProcessInspection

/// Where memory can be mapped so that code reaches it with 32-bit displacements.
package enum FreeRoom {
    /// Addresses for `size` bytes in gaps between `mappings` such that every byte of the room and every byte of
    /// `within` are less than 2 GiB apart; nearest below `within` first, then above; the same for the same mappings.
    /// Keeps away from the stack's guard gap and from `lowest` (`vm.mmap_min_addr`).
    package static func candidates(
        size: UInt64, within: [Range<UInt64>], mappings: [Mapping], lowest: UInt64 = 0x10000, limit: Int = 16
    ) -> [UInt64] { fatalError("next commit") }
}
