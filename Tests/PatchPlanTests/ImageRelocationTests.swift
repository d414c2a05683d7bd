//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import PatchPlan
import Testing

@Suite struct ImageRelocationTests {
    private func image(_ relocations: [Relocation]) -> Image {
        Image(
            code: [UInt8](repeating: 0x90, count: 20), constants: [UInt8](repeating: 0, count: 24),
            unwind: [0, 0, 0, 0],
            relocations: relocations)
    }

    @Test func valuesAreThoseOfThePsABI() throws {
        let relocated = try image([
            Relocation(offset: 4, kind: .relative32, destination: .target(0x2000), addend: -4),
            Relocation(offset: 8, kind: .relative32, destination: .image(40), addend: -4),
            Relocation(offset: 40, kind: .absolute64, destination: .target(0x3000), addend: 16),
        ]).relocated(at: 0x7000_0000_0100, loadBias: 0x7000_1000_0000, stateAddress: 0x7000_0000_0018)
        #expect(relocated.count == 64 + 4)
        // S + A - P
        let distance: UInt64 = 0x7000_1000_2000 - 4 - 0x7000_0000_0104
        #expect(Array(relocated[4..<8]) == (0..<4).map { UInt8(truncatingIfNeeded: distance >> (8 * $0)) })
        #expect(Array(relocated[8..<12]) == [28, 0, 0, 0])
        #expect(relocated.word(at: 40) == 0x7000_1000_3010)
        // The state pointer is the first of the constants, which begin at the next multiple of 16.
        #expect(relocated.word(at: 32) == 0x7000_0000_0018)
        #expect(relocated[20] == 0 && relocated[0] == 0x90)
    }

    @Test func reachIsExact() throws {
        func value(_ distance: Int64) throws -> [UInt8] {
            try image([Relocation(offset: 0, kind: .relative32, destination: .image(0), addend: distance)])
                .relocated(at: 0x7000_0000_0000, loadBias: 0, stateAddress: 0)
        }
        #expect(try Array(value(0x7fff_ffff)[0..<4]) == [0xff, 0xff, 0xff, 0x7f])
        #expect(try Array(value(-0x8000_0000)[0..<4]) == [0, 0, 0, 0x80])
        for distance in [0x8000_0000, -0x8000_0001, .max, .min] as [Int64] {
            #expect { try value(distance) } throws: { ($0 as? Refusal)?.reason == .noRoomWithinReach }
        }
    }

    @Test func relocationsOutsideAreRefused() {
        for relocation in [
            Relocation(offset: 65, kind: .relative32, destination: .image(0), addend: 0),
            Relocation(offset: 61, kind: .absolute64, destination: .image(0), addend: 0),
            Relocation(offset: .max, kind: .absolute64, destination: .image(0), addend: 0),
            Relocation(offset: 0, kind: .absolute64, destination: .image(.max), addend: 0),
            // The state-pointer slot.
            Relocation(offset: 36, kind: .relative32, destination: .image(0), addend: 0),
            Relocation(offset: 25, kind: .absolute64, destination: .image(0), addend: 0),
        ] {
            #expect { try image([relocation]).relocated(at: 0x1000, loadBias: 0, stateAddress: 0) } throws: {
                ($0 as? Refusal)?.reason == .imageInvalid
            }
        }
    }
}
