//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Testing

@testable import ProcessControl
@testable import ProcessInspection

/// The small interpreter of seccomp's programs.
@Suite struct SeccompFilterTests {
    private typealias Instruction = SeccompFilter.Instruction
    private static let allow: UInt32 = 0x7fff_0000
    private static let kill: UInt32 = 0x8000_0000

    private func run(_ program: [(UInt16, UInt8, UInt8, UInt32)], _ call: SeccompFilter.Call) -> UInt32? {
        SeccompFilter(
            instructions: program.map { Instruction(code: $0.0, jumpTrue: $0.1, jumpFalse: $0.2, constant: $0.3) }
        )
        .action(for: call)
    }

    private let call = SeccompFilter.Call(
        number: 9, instructionPointer: 0x1122_3344_5566_7788,
        arguments: [0xaabb_ccdd_0011_2233, 4096, 5, 0x22, .max, 0])

    @Test func wordsOfTheCall() {
        let expected: [UInt32: UInt32] = [
            0: 9, 4: 0xc000_003e, 8: 0x5566_7788, 12: 0x1122_3344, 16: 0x0011_2233, 20: 0xaabb_ccdd, 24: 4096, 28: 0,
            32: 5, 48: 0xffff_ffff, 52: 0xffff_ffff, 56: 0, 60: 0,
        ]
        for (offset, value) in expected { #expect(run([(0x20, 0, 0, offset), (0x16, 0, 0, 0)], call) == value) }
        for offset: UInt32 in [1, 2, 64, 0xffff_fffc] { #expect(call.word(at: offset) == nil) }
    }

    @Test func jumpsOnNumberAndProtection() {
        // mmap with PROT_WRITE | PROT_EXEC is killed for, as systemd's MemoryDenyWriteExecute does.
        let program: [(UInt16, UInt8, UInt8, UInt32)] = [
            (0x20, 0, 0, 0), (0x15, 0, 3, 9), (0x20, 0, 0, 32), (0x54, 0, 0, 6), (0x15, 1, 0, 6),
            (0x06, 0, 0, Self.allow), (0x06, 0, 0, Self.kill),
        ]
        #expect(run(program, call) == Self.allow)
        var writable = call
        writable.arguments[2] = 7
        #expect(run(program, writable) == Self.kill)
        writable.number = 10
        #expect(run(program, writable) == Self.allow)
    }

    @Test func arithmeticAndScratch() {
        let cases: [(UInt16, UInt32, UInt32, UInt32?)] = [
            (0x04, 7, 5, 12), (0x14, 5, 7, 0xffff_fffe), (0x24, 7, 5, 35), (0x34, 35, 5, 7), (0x34, 35, 0, nil),
            (0x44, 6, 9, 15), (0x54, 6, 3, 2), (0x64, 1, 4, 16), (0x74, 16, 4, 1), (0xa4, 6, 3, 5),
        ]
        for (code, left, right, result) in cases {
            #expect(run([(0x00, 0, 0, left), (code, 0, 0, right), (0x16, 0, 0, 0)], call) == result)
            // The same with the operand in the index register, and the result by way of the scratch memory.
            #expect(
                run(
                    [
                        (0x01, 0, 0, right), (0x00, 0, 0, left), (code | 8, 0, 0, 0), (0x02, 0, 0, 3),
                        (0x00, 0, 0, 0), (0x61, 0, 0, 3), (0x87, 0, 0, 0), (0x16, 0, 0, 0),
                    ], call) == result)
        }
        #expect(run([(0x00, 0, 0, 1), (0x84, 0, 0, 0), (0x16, 0, 0, 0)], call) == 0xffff_ffff)
        #expect(run([(0x80, 0, 0, 0), (0x07, 0, 0, 0), (0x87, 0, 0, 0), (0x16, 0, 0, 0)], call) == 64)
    }

    @Test func comparisons() {
        // code, accumulator, constant, taken
        let cases: [(UInt16, UInt32, UInt32, Bool)] = [
            (0x15, 5, 5, true), (0x15, 5, 6, false), (0x25, 6, 5, true), (0x25, 5, 5, false), (0x35, 5, 5, true),
            (0x35, 4, 5, false), (0x45, 6, 2, true), (0x45, 6, 1, false),
        ]
        for (code, left, right, taken) in cases {
            let program: [(UInt16, UInt8, UInt8, UInt32)] = [
                (0x00, 0, 0, left), (code, 1, 0, right), (0x06, 0, 0, 1), (0x06, 0, 0, 2),
            ]
            #expect(run(program, call) == (taken ? 2 : 1))
        }
        #expect(run([(0x05, 0, 0, 1), (0x06, 0, 0, 1), (0x06, 0, 0, 2)], call) == 2)
    }

    @Test func whatIsNotUnderstoodIsNotAllowed() {
        #expect(!SeccompFilter(instructions: []).allows(call))
        #expect(run([(0x20, 0, 0, 3), (0x06, 0, 0, Self.allow)], call) == nil)
        #expect(run([(0x05, 0, 0, 200), (0x06, 0, 0, Self.allow)], call) == nil)
        for value: UInt32 in [0, 0x0003_0000, 0x0005_0001, 0x7fc0_0000, 0x7ff0_0000, Self.kill] {
            #expect(
                !SeccompFilter([0x06, 0, 0, 0] + (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }).allows(
                    call))
        }
        #expect(SeccompFilter([0x06, 0, 0, 0, 0, 0, 0xff, 0x7f]).allows(call))
    }
}

/// Where room is looked for.
@Suite struct FreeRoomTests {
    private func mapping(_ range: Range<UInt64>, _ name: String = "", executable: Bool = false) -> Mapping {
        Mapping(
            range: range, isReadable: true, isWritable: false, isExecutable: executable, isShared: false, fileOffset: 0,
            shownFile: FileIdentity(device: 0, inode: 0), identity: nil, name: Array(name.utf8), isDeleted: false)
    }

    @Test func roomIsNearAndFree() {
        let library: Range<UInt64> = 0x7f00_0010_0000..<0x7f00_0020_0000
        let mappings = [
            mapping(0x5000_0000_0000..<0x5000_0000_1000), mapping(0x7f00_000f_0000..<0x7f00_000f_8000),
            mapping(library), mapping(0x7f00_0020_2000..<0x7f00_0030_0000),
            mapping(0x7fff_0000_0000..<0x7fff_0002_1000, "[stack]"),
        ]
        let found = FreeRoom.candidates(size: 0x4000, within: [library], mappings: mappings)
        #expect(found.first == 0x7f00_000f_b000)
        #expect(found.count == 3)
        for address in found {
            let room = address..<(address + 0x4000)
            #expect(!mappings.contains { $0.range.overlaps(room) })
            #expect(max(room.upperBound, library.upperBound) - min(room.lowerBound, library.lowerBound) < 1 << 31)
        }
        #expect(found == FreeRoom.candidates(size: 0x4000, within: [library], mappings: mappings))
    }

    @Test func noRoomIsNoRoom() {
        let program: Range<UInt64> = 0x4000_0000..<0x4010_0000
        let full = [mapping(0x1_0000..<0xd000_0000)]
        #expect(FreeRoom.candidates(size: 0x1000, within: [program], mappings: full).isEmpty)
        let apart = [0x1_0000_0000..<0x1_0000_1000, 0x7f00_0000_0000..<0x7f00_0000_1000] as [Range<UInt64>]
        #expect(FreeRoom.candidates(size: 0x1000, within: apart, mappings: []).isEmpty)
        #expect(FreeRoom.candidates(size: 0x1000, within: [], mappings: []).isEmpty)
        #expect(FreeRoom.candidates(size: 0, within: [program], mappings: []).isEmpty)
    }

    @Test func lowProgramsAndHeaps() {
        // Not position independent: below it there are 4 MiB less what may not be mapped.
        let program: Range<UInt64> = 0x40_0000..<0x50_0000
        let mappings = [mapping(program), mapping(0x60_0000..<0x70_0000, "[heap]")]
        let found = FreeRoom.candidates(size: 0x4000, within: [program], mappings: mappings)
        #expect(found.first == 0x3f_b000)
        // Above the heap only at the far end.
        #expect(found.last.map { $0 > 0x7000_0000 } == true)
    }

    @Test func anAbandonedRoomIsFoundAtItsPlaceOnly() {
        let library: Range<UInt64> = 0x7f00_0010_0000..<0x7f00_0020_0000
        let room = mapping(0x7f00_000f_b000..<0x7f00_000f_f000, executable: true)
        let elsewhere = mapping(0x7f00_0000_0000..<0x7f00_0000_4000, executable: true)
        #expect(
            FreeRoom.abandoned(size: 0x4000, within: [library], mappings: [room, mapping(library)])
                == room.range.lowerBound)
        #expect(FreeRoom.abandoned(size: 0x4000, within: [library], mappings: [elsewhere, mapping(library)]) == nil)
        #expect(FreeRoom.abandoned(size: 0x2000, within: [library], mappings: [room, mapping(library)]) == nil)
    }
}
