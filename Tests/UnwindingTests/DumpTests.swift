//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Testing
import Unwinding

/// Stacks of a real program, unwound from a copy.
@Suite("Unwinding of real stacks")
struct DumpTests {
    struct Dump {
        var registers = RegisterValues()
        var memory: MemorySnapshot
        var tables = FrameTableMap()
        var bias: UInt64 = 0
    }

    /// - Parameter viaHeader: use the search table of the linker instead of scanning.
    @Test(
        arguments: [
            ("main", "-O2"), ("main", "-O0"), ("thread", "-O2"), ("thread", "-O2 -fno-asynchronous-unwind-tables -g"),
        ], [false, true])
    func chain(mode: (thread: String, flags: String), viaHeader: Bool) throws {
        let directory = try TemporaryDirectory()
        let program = try build(flags: mode.flags, in: directory)
        let dump = try dump(program, thread: mode.thread, viaHeader: viaHeader, in: directory)
        var backtraceUnwinder = Unwinder(memory: dump.memory, tables: dump.tables)
        let backtrace = backtraceUnwinder.unwind(dump.registers)
        if mode.flags.contains("-fno-asynchronous") {
            // A program without rules: the walk ends at its first frame, and says so.
            guard case .incomplete(let error) = backtrace.ending else {
                Issue.record("complete without rules")
                return
            }
            #expect(error.code == .noRules)
            #expect(backtrace.frames.count == 1)
            return
        }
        #expect(backtrace.ending == .endOfStack)
        let symbols = try symbols(of: program, in: directory)
        let names = backtrace.frames.map { frame in
            symbols.last { $0.address <= frame.lookupAddress &- dump.bias }
                .flatMap { frame.lookupAddress &- dump.bias < $0.address + $0.size ? $0.name : nil } ?? "?"
        }
        // dump, handler_inner, handler, the kernel's frame, then what was interrupted.
        var expected = DumpProgram.chain
        expected.insert("?", at: 3)
        expected += mode.thread == "thread" ? ["?", "?"] : ["main", "?", "?", "_start"]
        #expect(names == expected)
        #expect(backtrace.frames.indices.filter { backtrace.frames[$0].isSignalFrame } == [3])
        #expect(backtrace.frames.indices.filter { !backtrace.frames[$0].isReturnAddress } == [0, 4])
        // gamma's call of a function that does not return is its last instruction.
        let gamma = try #require(symbols.first { $0.name == "gamma" })
        if mode.flags == "-O2" {
            #expect(backtrace.frames[5].instructionPointer &- dump.bias == gamma.address + gamma.size)
        }
    }

    @Test("A stack that was not copied to its end")
    func truncatedStack() throws {
        let directory = try TemporaryDirectory()
        let dump = try dump(try build(flags: "-O2", in: directory), thread: "main", viaHeader: false, in: directory)
        var noneUnwinder = Unwinder(memory: MemorySnapshot([]), tables: dump.tables)
        let none = noneUnwinder.unwind(dump.registers)
        guard case .incomplete(let error) = none.ending else {
            Issue.record("complete without memory")
            return
        }
        #expect(error.code == .unreadableMemory)
        var limitedUnwinder = Unwinder(memory: dump.memory, tables: dump.tables, frameLimit: 4)
        let limited = limitedUnwinder.unwind(dump.registers)
        #expect(limited.frames.count == 4)
        guard case .incomplete(let limit) = limited.ending else {
            Issue.record("complete beyond the limit")
            return
        }
        #expect(limit.code == .limitExceeded)
    }

    func build(flags: String, in directory: TemporaryDirectory) throws -> String {
        let source = try directory.write(DumpProgram.source, as: "dump.c")
        let program = directory.path + "/dump"
        try run(
            "/usr/bin/gcc",
            flags.split(separator: " ").map(String.init) + [
                "-fomit-frame-pointer", "-fcf-protection=none", "-pthread", "-o", program, source,
            ],
            in: directory)
        return program
    }

    func dump(
        _ program: String, thread: String, viaHeader: Bool, in directory: TemporaryDirectory
    ) throws -> Dump {
        let file = directory.path + "/state"
        try run(program, [file, thread], in: directory)
        let bytes = try readFile(file)
        func word(_ offset: Int) -> UInt64 { (0..<8).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) } }
        var regions: [MemorySnapshot.Region] = []
        var offset = 17 * 8
        while offset < bytes.count {
            let size = Int(word(offset + 8))
            regions.append(
                MemorySnapshot.Region(
                    address: word(offset), bytes: [UInt8](bytes[(offset + 16)..<(offset + 16 + size)])))
            offset += 16 + size
        }
        var dump = Dump(memory: MemorySnapshot(regions))
        for register in RegisterValues.Number.allCases { dump.registers[register] = word(8 * register.rawValue) }
        var first: [Substring: UInt64] = [:]
        for line in String(decoding: try readFile(file + ".maps"), as: UTF8.self).split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 5, fields[5].hasPrefix("/") else { continue }
            let ends = fields[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
            let bias = first[fields[5], default: ends[0]]
            first[fields[5]] = bias
            if fields[5] == program { dump.bias = bias }
            guard fields[1].contains("x"), let table = try table(String(fields[5]), viaHeader: viaHeader) else {
                continue
            }
            dump.tables.insert(LocatedFrameTable(table: table, bias: bias), for: ends[0]..<ends[1])
        }
        return dump
    }

    func table(_ path: String, viaHeader: Bool) throws -> FrameTable? {
        let object = try TestObject(path: path)
        guard let section = object.sections[".eh_frame"] else { return nil }
        guard viaHeader, let header = object.sections[".eh_frame_hdr"] else {
            return try FrameTable(section: section.bytes, address: section.address)
        }
        return try FrameTable(section: section.bytes, header: FrameHeader(header.bytes, address: header.address))
    }

    func symbols(
        of program: String, in directory: TemporaryDirectory
    ) throws -> [(address: UInt64, size: UInt64, name: String)] {
        let output = try run("/usr/bin/nm", ["-nS", program], in: directory)
        return output.split(separator: UInt8(ascii: "\n")).compactMap { line in
            let fields = String(decoding: line, as: UTF8.self).split(separator: " ")
            guard fields.count == 4, let address = UInt64(fields[0], radix: 16),
                let size = UInt64(fields[1], radix: 16)
            else { return nil }
            return (address, size, String(fields[3]))
        }
    }
}
