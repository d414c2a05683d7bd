//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import MachineCode
import PatchBuilding
import Testing

/// Lengths of instructions and moved prologues of every function of five binaries that Debian ships, against objdump,
/// an emulator and the processor.
@Suite(.serialized) struct PrologueTests {
    /// The version whose counts are known, by package: what was counted once must be counted again.
    static let counts: [String: (version: String, functions: Int, instructions: Int, relocated: Int)] = [
        "libssl3": ("3.0.20-1~deb12u2", 10_911, 617_411, 10_227),
        "libc6": ("2.36-9+deb12u14", 3713, 332_193, 3558),
        "libstdc++6": ("12.2.0-14+deb12u1", 4867, 258_081, 4662),
        "nginx": ("1.22.1-9+deb12u11", 1645, 185_746, 1601),
        "qemu-system-x86": ("1:7.2+dfsg-7+deb12u18+b3", 22_763, 1_398_210, 21_870),
    ]

    @Test func everyFunctionIsLookedAt() async throws {
        for file in try await ShippedFile.all() {
            let functions = file.survey.functions
            var refusals: [String: Int] = [:]
            var instructions = 0
            var relocated = 0
            for function in functions {
                instructions += function.lengths.count
                // Instructions follow each other without a gap, to the end or to the first byte that is none.
                let covered = function.lengths.reduce(0) { $0 + Int($1) }
                #expect(covered == function.undecodable ?? function.bytes.count)
                switch function.outcome {
                case .relocated: relocated += 1
                case .refused(let refusal, let reason): refusals["\(refusal.rawValue): \(reason)", default: 0] += 1
                }
            }
            print(
                file.location.name, file.version, "functions \(functions.count), instructions \(instructions),",
                "relocated \(relocated)")
            for (reason, count) in refusals.sorted(by: { $0.key < $1.key }) { print("   ", count, reason) }
            #expect(functions.count > 1000)
            #expect(relocated * 100 > functions.count * 90)
            guard let known = Self.counts[file.location.package], known.version == file.version else { continue }
            #expect(functions.count == known.functions)
            #expect(instructions == known.instructions)
            #expect(relocated == known.relocated)
        }
    }

    @Test func everyInstructionAndEveryMovedPrologueIsObjdumps() async throws {
        for file in try await ShippedFile.all() {
            let clock = ContinuousClock()
            let start = clock.now
            let functions = file.survey.functions
            let prologues = Set(functions.flatMap { Self.prologue(of: $0) }).sorted()
            let disassembly = try Disassembly.shipped(file, texts: prologues)
            let compared = Self.compareBoundaries(functions, disassembly)
            #expect(compared.differences.isEmpty, "\(file.location.name): \(compared.differences.prefix(20))")
            let wrong = Self.compareBranches(functions, disassembly)
            #expect(wrong.isEmpty, "\(file.location.name): \(wrong.prefix(20))")
            let moved = try Self.compareMoved(file.survey, disassembly)
            #expect(moved.differences.isEmpty, "\(file.location.name): \(moved.differences.prefix(20))")
            print(
                file.location.name, "instructions compared: \(compared.count), moved: \(moved.count), in",
                clock.now - start)
        }
    }

    /// Addresses of the instructions that are moved.
    private static func prologue(of function: PrologueSurvey.Function) -> [UInt64] {
        var address = function.address
        return function.lengths.prefix(function.prologueCount).map { length in
            defer { address += UInt64(length) }
            return address
        }
    }

    /// Each instruction starts where objdump starts one, and objdump has none between; what is no instruction
    /// is bad to objdump too.
    private static func compareBoundaries(
        _ functions: [PrologueSurvey.Function], _ disassembly: Disassembly
    ) -> (count: Int, differences: [String]) {
        var count = 0
        var differences: [String] = []
        disassembly.starts.withUnsafeBufferPointer { starts in
            for function in functions where !function.bytes.isEmpty {
                var index = lowerBound(starts, function.address)
                var address = function.address
                for length in function.lengths {
                    guard index < starts.count, starts[index] == address else { break }
                    index += 1
                    address += UInt64(length)
                    count += 1
                }
                let end = function.address + UInt64(function.undecodable ?? function.bytes.count)
                if address != end {
                    differences.append("at \(hex(address)) of \(hex(function.address))")
                } else if function.undecodable != nil {
                    if !disassembly.bad.contains(end) { differences.append("not bad: \(hex(end))") }
                } else if index < starts.count, starts[index] < end {
                    differences.append("end \(hex(end))")
                }
            }
        }
        return (count, differences)
    }

    /// The jumps that objdump prints lead into first bytes exactly where that is the reason of a refusal.
    private static func compareBranches(
        _ functions: [PrologueSurvey.Function], _ disassembly: Disassembly
    ) -> [String] {
        var into: Set<UInt64> = []
        functions.map(\.address).withUnsafeBufferPointer { starts in
            for jump in disassembly.jumps {
                // The last function that starts at or before the destination, and the one of the jump. What lies
                // between functions are tables, which objdump reads as code too.
                let index = lowerBound(starts, jump.to &+ 1) - 1
                let from = lowerBound(starts, jump.from + 1) - 1
                guard index >= 0, jump.to - starts[index] < 5, from >= 0,
                    jump.from - starts[from] < UInt64(functions[from].bytes.count)
                else { continue }
                let isOwn = from == index
                // A jump to another function's first byte is a tail call, which a patched entry still serves.
                if jump.to != starts[index] || isOwn { into.insert(starts[index]) }
            }
        }
        return functions.compactMap { function in
            switch function.outcome {
            case .relocated: into.contains(function.address) ? "not refused: \(hex(function.address))" : nil
            case .refused(.branchIntoEntry, _), .refused(.branchToEntry, _), .refused(.branchFromOutside, _):
                into.contains(function.address) ? nil : "refused without a branch: \(hex(function.address))"
            case .refused: nil
            }
        }
    }

    /// Each moved prologue reads as the original: the same mnemonics and operands, and whatever counts from the
    /// place leads to the same addresses. Close by, and as far away as images may be placed.
    private static func compareMoved(
        _ survey: PrologueSurvey, _ disassembly: Disassembly
    ) throws -> (count: Int, differences: [String]) {
        var count = 0
        var differences: [String] = []
        let base = PrologueCase.base
        let target = base..<(base + survey.addresses.upperBound)
        var size: UInt64 = 0
        for function in survey.functions {
            if case .relocated(let relocation) = function.outcome { size += UInt64(relocation.bytes.count + 5) }
        }
        let reach = try #require(Reach.placement(imageSize: size, target: target))
        let near = (target.upperBound + 0xfff) & ~0xfff
        #expect(reach.upperBound - base > 0x7f00_0000 - size && base - reach.lowerBound > 0x7d00_0000)
        for place in [near, reach.lowerBound, reach.upperBound] {
            // objdump's addresses are those of the file; what lies before them wraps around.
            let start = place &- base
            var code: [UInt8] = []
            for function in survey.functions {
                guard case .relocated(let relocation) = function.outcome else { continue }
                code += try PrologueCase.moved(relocation, of: function, to: start &+ UInt64(code.count), base: 0)
            }
            var lines = try Disassembly.code(code, at: start)[...]
            var address = start
            for function in survey.functions {
                guard case .relocated(let relocation) = function.outcome else { continue }
                var expected = prologue(of: function).map { disassembly.texts[$0] ?? "nothing" }
                let end = function.address + UInt64(relocation.originalSize)
                expected.append("jmp    0x" + hex(end))
                let moved = lines.prefix(expected.count)
                lines = lines.dropFirst(expected.count)
                count += expected.count
                let places = relocation.places.map { address &+ UInt64($0.relocated) }
                address = address &+ UInt64(relocation.bytes.count + 5)
                if moved.map(\.address) != places || zip(moved, expected).contains(where: { !same($0.text, $1) }) {
                    differences.append("\(hex(function.address)): \(expected) moved is \(moved.map(\.text))")
                }
            }
            if !lines.isEmpty { differences.append("\(lines.count) instructions too many") }
        }
        return (count, differences)
    }

    /// Destinations have no 0x where the file has symbols.
    private static func same(_ first: String, _ second: String) -> Bool {
        first == second
            || plain(first) == plain(second)
    }

    private static func plain(_ text: String) -> String {
        text.replacing(text.hasPrefix("j") ? " 0x" : "# 0x", with: text.hasPrefix("j") ? " " : "# ")
    }

    private static func lowerBound(_ addresses: UnsafeBufferPointer<UInt64>, _ address: UInt64) -> Int {
        var low = 0
        var high = addresses.count
        while low < high {
            let middle = (low + high) / 2
            if addresses[middle] < address { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private static func hex(_ address: UInt64) -> String { String(address, radix: 16) }
}
