//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Testing
import Unwinding

/// How a walk ends, on stacks made by hand.
@Suite("Ends of a walk")
struct WalkTests {
    /// One function at 0x1000 to 0x1100 whose CFA is what rbx holds, return address at CFA - 8.
    private func tables(isSignalFrame: Bool, instructions: [UInt8] = []) throws -> FrameTableMap {
        var common: [UInt8] = [0, 0, 0, 0, 1, UInt8(ascii: "z"), UInt8(ascii: "R")]
        if isSignalFrame { common.append(UInt8(ascii: "S")) }
        // code 1, data -8, return address 16, absolute addresses; CFA = rbx + 0; rip at CFA - 8
        common += [0, 1, 0x78, 16, 1, 0x04, 0x0C, 3, 0, 0x90, 1]
        while common.count % 4 != 0 { common.append(0) }
        let description: [UInt8] =
            [UInt8(common.count + 8), 0, 0, 0] + [0, 0x10, 0, 0, 0, 0, 0, 0] + [0, 1, 0, 0, 0, 0, 0, 0] + [0]
            + instructions
        let section =
            [UInt8(common.count), 0, 0, 0] + common + [UInt8(description.count), 0, 0, 0] + description + [0, 0, 0, 0]
        let table = try FrameTable(section: section, address: 0x10_0000)
        #expect(table.count == 1)
        var map = FrameTableMap()
        map.insert(LocatedFrameTable(table: table, bias: 0), for: 0x1000..<0x2000)
        map.insert(LocatedFrameTable(table: table, bias: 0x10000), for: 0x11000..<0x11100)
        return map
    }

    private var registers: RegisterValues {
        var registers = RegisterValues()
        registers[.rip] = 0x1010
        registers[.rsp] = 0x7000
        registers[.rbx] = 0x8000
        return registers
    }

    private func words(_ words: [UInt64], at address: UInt64) -> MemorySnapshot {
        var bytes: [UInt8] = []
        for word in words { for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * shift))) } }
        return MemorySnapshot([MemorySnapshot.Region(address: address, bytes: bytes)])
    }

    private func code(_ backtrace: Backtrace) -> UnwindError.Code? {
        if case .incomplete(let error) = backtrace.ending { return error.code }
        return nil
    }

    @Test("A frame that does not lie above the one before")
    func notGrowing() throws {
        var unwinder = Unwinder(memory: words([0x1020], at: 0x7FF8), tables: try tables(isSignalFrame: false))
        let backtrace = unwinder.unwind(registers)
        #expect(code(backtrace) == .stackNotGrowing)
        #expect(backtrace.frames.map { $0.canonicalFrameAddress } == [0x8000, nil])
        // Nor may the first one lie below the stack pointer.
        var below = registers
        below[.rsp] = 0x8000
        #expect(code(unwinder.unwind(below)) == .stackNotGrowing)
    }

    @Test("Signal frames may lie anywhere, but not for ever")
    func signalLoop() throws {
        var unwinder = Unwinder(
            memory: words([0x1020], at: 0x7FF8), tables: try tables(isSignalFrame: true), frameLimit: 100)
        let backtrace = unwinder.unwind(registers)
        #expect(code(backtrace) == .limitExceeded)
        #expect(backtrace.frames.count == 100)
        #expect(backtrace.frames.allSatisfy { $0.isSignalFrame && !$0.isReturnAddress })
    }

    @Test("The outermost frame: return address undefined, or zero")
    func outermost() throws {
        // DW_CFA_undefined rip
        var undefined = Unwinder(
            memory: MemorySnapshot([]), tables: try tables(isSignalFrame: false, instructions: [0x07, 16]))
        #expect(undefined.unwind(registers).ending == .endOfStack)
        var zero = Unwinder(memory: words([0], at: 0x7FF8), tables: try tables(isSignalFrame: false))
        #expect(zero.unwind(registers).ending == .endOfStack)
        // DW_CFA_same_value rip: nothing says where the caller is.
        var same = Unwinder(
            memory: MemorySnapshot([]), tables: try tables(isSignalFrame: false, instructions: [0x08, 16]))
        #expect(code(same.unwind(registers)) == .malformed)
        // DW_CFA_undefined rbx, then the CFA cannot be found in the caller.
        var lost = Unwinder(
            memory: words([0x1020], at: 0x7FF8), tables: try tables(isSignalFrame: false, instructions: [0x07, 3]))
        #expect(code(lost.unwind(registers)) == .unknownRegister)
    }

    @Test("What is remembered of one address is not taken for another")
    func manyAddresses() throws {
        let object = try TestObject(path: "/lib/x86_64-linux-gnu/libc.so.6")
        let section = try #require(object.sections[".eh_frame"])
        let table = try FrameTable(section: section.bytes, address: section.address)
        var tables = FrameTableMap()
        tables.insert(LocatedFrameTable(table: table, bias: 0), for: 0..<0x1000_0000)
        let memory = words([UInt64](repeating: 0x1234_5678, count: 400), at: 0x6FF0)
        var shared = Unwinder(memory: memory, tables: tables)
        var complete = 0
        // More addresses than the cache has slots, in an order in which they drive each other out.
        for round in 0..<2 {
            for index in stride(from: round, to: table.count, by: 4) {
                let description = try table.description(index: index)
                var registers = RegisterValues()
                for register in RegisterValues.Number.allCases { registers[register] = 0x7000 }
                registers[.rip] = description.start + description.size / 2
                var alone = Unwinder(memory: memory, tables: tables)
                let expected = try? alone.step(registers, isReturnAddress: false)
                var same = true
                for _ in 0..<2 {
                    let step = try? shared.step(registers, isReturnAddress: false)
                    same = same && step?.canonicalFrameAddress == expected?.canonicalFrameAddress
                    for register in RegisterValues.Number.allCases {
                        same = same && step?.caller?[register] == expected?.caller?[register]
                    }
                }
                #expect(same)
                if expected != nil { complete += 1 }
            }
        }
        #expect(complete > 1000)
    }

    @Test("No rules for an address, and rules at two places")
    func places() throws {
        var unwinder = Unwinder(memory: words([0x11000, 0x5000], at: 0x7FF8), tables: try tables(isSignalFrame: false))
        // 0x11000 is a return address: the call lies before what the table covers.
        #expect(code(unwinder.unwind(registers)) == .noRules)
        var second = registers
        second[.rip] = 0x110FF
        second[.rbx] = 0x8008
        let backtrace = unwinder.unwind(second)
        #expect(code(backtrace) == .noRules)
        #expect(backtrace.frames.map { $0.instructionPointer } == [0x110FF, 0x5000])
        #expect(backtrace.frames.map { $0.lookupAddress } == [0x110FF, 0x4FFF])
        var none = registers
        none[.rip] = nil
        #expect(code(unwinder.unwind(none)) == .unknownRegister)
    }

    @Test(
        "Instructions of another architecture and broken states",
        arguments: [[0x2D], [0x0B], [0x3F], [0x0E]] as [[UInt8]])
    func refused(instructions: [UInt8]) throws {
        var unwinder = Unwinder(
            memory: words([0], at: 0x7FF8), tables: try tables(isSignalFrame: false, instructions: instructions))
        #expect(code(unwinder.unwind(registers)) != nil)
    }
}
