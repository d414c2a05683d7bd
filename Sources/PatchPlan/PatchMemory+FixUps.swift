//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch

extension PatchMemory {
    /// Reads the records of the fix-ups: nobody vouches for them.
    ///
    /// - Parameters:
    ///   - count: how many.
    ///   - entries: the functions, which a fix-up must not lie in.
    /// - Throws: `PatchMemoryError`.
    static func fixUps(
        from reader: inout ByteReader, count: Int, entries: [PlacedEntry]
    ) throws(PatchMemoryError) -> [PlacedFixUp] {
        guard count <= PatchFormat.maximumFixUps else { throw invalid("fix-ups") }
        var result: [PlacedFixUp] = []
        for _ in 0..<count {
            let address = try reader.integer(UInt64.self)
            let from = try reader.integer(UInt64.self)
            let to = try reader.integer(UInt64.self)
            guard let size = FixUp.Size(rawValue: try reader.integer(UInt8.self)),
                try reader.array(7).allSatisfy({ $0 == 0 }), size.holds(from), size.holds(to), from != to,
                address % UInt64(size.count) == 0,
                let range = AddressRange(start: address, size: UInt64(size.count)),
                !result.contains(where: { $0.range.overlaps(range) }),
                !entries.contains(where: {
                    AddressRange(lower: $0.address, upper: $0.address &+ UInt64($0.size)).overlaps(range)
                })
            else { throw invalid("fix-up") }
            result.append(PlacedFixUp(name: "", address: address, size: size, from: from, to: to))
        }
        return result
    }
}
