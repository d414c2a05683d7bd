//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import PatchPlan
import Testing

@Suite struct PlacementTests {
    private let object = AddressRange(lower: 0x7f00_0000_0000, upper: 0x7f00_0020_0000)

    private func isWithinReach(_ address: UInt64) -> Bool {
        let furthest = max(
            object.upper > address ? object.upper - address : 0,
            address + 0x4000 > object.lower ? address + 0x4000 - object.lower : 0)
        return furthest < 0x7fff_f000
    }

    @Test(arguments: 0..<64 as Range<UInt64>) func aPlaceIsFreeNearAndTheSameAgain(seed: UInt64) throws {
        var random = SplitMix(seed)
        var mappings = [object]
        for _ in 0..<300 {
            let start = (object.lower - 0x8000_0000 + UInt64.random(in: 0..<0x1_0000_0000, using: &random)) & ~0xfff
            mappings.append(
                AddressRange(lower: start, upper: start + UInt64.random(in: 1...4000, using: &random) * 4096))
        }
        let placement = Placement(object: object, mappings: Self.merged(mappings))
        let address = try #require(placement.address(size: 0x4000, seed: seed) { _ in false })
        #expect(address % 0x1_0000 == 0)
        let range = AddressRange(lower: address - 0x1000, upper: address + 0x5000)
        #expect(!mappings.contains { $0.overlaps(range) })
        #expect(isWithinReach(address))
        #expect(placement.address(size: 0x4000, seed: seed) { _ in false } == address)
        // What an earlier run mapped there is found again, though it is in the way now.
        let later = Placement(
            object: object, mappings: Self.merged(mappings + [AddressRange(lower: address, upper: address + 0x4000)]))
        #expect(later.address(size: 0x4000, seed: seed) { $0 == address } == address)
        #expect(later.address(size: 0x4000, seed: seed) { _ in false } != address)
    }

    private static func merged(_ ranges: [AddressRange]) -> [AddressRange] {
        var result: [AddressRange] = []
        for range in ranges.sorted(by: { $0.lower < $1.lower }) {
            if let last = result.last, range.lower <= last.upper {
                result[result.count - 1].upper = max(last.upper, range.upper)
            } else {
                result.append(range)
            }
        }
        return result
    }

    @Test func noRoom() {
        let full = [
            AddressRange(lower: object.lower - 0x9000_0000, upper: object.lower), object,
            AddressRange(lower: object.upper, upper: object.upper + 0x9000_0000),
        ]
        #expect(Placement(object: object, mappings: full).address(size: 0x1000, seed: 3) { _ in false } == nil)
    }

    @Test func oneHoleIsFound() throws {
        for hole in [object.lower - 0x7000_0000, object.lower - 0x40_0000, object.upper + 0x6000_0000] as [UInt64] {
            let full = [
                AddressRange(lower: object.lower - 0x9000_0000, upper: min(hole, object.lower)),
                AddressRange(lower: min(hole + 0x4_0000, object.lower), upper: object.upper),
                AddressRange(lower: object.upper, upper: max(hole, object.upper)),
                AddressRange(lower: max(hole + 0x4_0000, object.upper), upper: object.upper + 0x9000_0000),
            ].filter { $0.size > 0 }
            let address = try #require(
                Placement(object: object, mappings: full).address(size: 0x4000, seed: 9) { _ in false })
            #expect(address >= hole && address + 0x4000 <= hole + 0x4_0000)
        }
    }

    @Test func executablesAtLowAddresses() throws {
        let low = AddressRange(lower: 0x40_0000, upper: 0x50_0000)
        let address = try #require(
            Placement(object: low, mappings: [low]).address(size: 0x4000, seed: 63) { _ in false })
        #expect(address >= 0x2_0000 && address + 0x4000 <= low.lower)
    }
}
