//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Rules that were found before, by address: the threads of a server mostly wait in the same few places.
///
/// Direct-mapped: one slot per hash, the last one stays.
struct RuleCache {
    /// What is known of an address.
    struct Entry {
        /// Address in the process that the rules were looked up for.
        let address: UInt64
        let canonicalFrameAddress: FrameRules.CanonicalFrameAddress
        let returnAddress: FrameRules.Register
        /// The registers that have a rule, the return address among them.
        let restores: [Restore]
        let isSignalFrame: Bool
        /// Offset of the FDE, for errors.
        let offset: Int
        /// The section that expressions lie in.
        let bytes: [UInt8]
        /// False for a slot that nothing was put into.
        var isValid = true

        init(address: UInt64, rules: FrameRules, isSignalFrame: Bool, offset: Int, bytes: [UInt8]) {
            self.address = address
            canonicalFrameAddress = rules.canonicalFrameAddress
            returnAddress = rules[RegisterValues.Number.rip.rawValue]
            var restores: [Restore] = []
            for number in 0..<17 where rules[number] != .unspecified {
                restores.append(Restore(number: number, rule: rules[number]))
            }
            self.restores = restores
            self.isSignalFrame = isSignalFrame
            self.offset = offset
            self.bytes = bytes
        }
    }

    /// One register's rule.
    struct Restore {
        var number: Int
        var rule: FrameRules.Register
    }

    /// The slots, read in place.
    private(set) var entries: [Entry] = []
    /// Number of slots, a power of two.
    private static var capacity: Int { 512 }

    /// The slot of an address: the topmost 9 bits of a multiplicative hash.
    private static func slot(_ address: UInt64) -> Int {
        Int(truncatingIfNeeded: (address &* 0x9E37_79B9_7F4A_7C15) >> 55)
    }

    /// Index of an address's entry, nil when there is none.
    func index(of address: UInt64) -> Int? {
        guard !entries.isEmpty else { return nil }
        let slot = Self.slot(address)
        return entries[slot].address == address && entries[slot].isValid ? slot : nil
    }

    /// Puts an entry into its slot.
    ///
    /// - Returns: its index.
    mutating func insert(_ entry: Entry) -> Int {
        if entries.isEmpty {
            var empty = entry
            empty.isValid = false
            entries = [Entry](repeating: empty, count: Self.capacity)
        }
        let slot = Self.slot(entry.address)
        entries[slot] = entry
        return slot
    }
}
