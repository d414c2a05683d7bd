//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import Glibc
import MachineCode
import PatchBuilding
import Testing

/// One prologue of each shape that the five binaries have, run as it was, moved to two places, and in a gate with its
/// state word off and on: registers, flags, memory and destination are the same in the end.
@Suite struct PrologueRunTests {
    /// A shape and the function that stands for it.
    struct Specimen: Sendable {
        let shape: String
        let file: String
        let function: PrologueSurvey.Function
        let run: PrologueCase
    }

    @Test func everyShapeDoesTheSameInTheEmulator() async throws {
        try await Self.check("emulate", flags: "-lunicorn", states: 6) { shape in
            if Self.readsClock(shape) { return "what it reads is never the same twice" }
            // QEMU 5, which Unicorn 2.0.1 is made of, has neither.
            if shape.contains("xabort") || shape.contains("xbegin") { return "transactions are not emulated" }
            // Its code generator ends the process: "tcg fatal error".
            if shape == "endbr64; cvtss2sd xmm, xmm" { return "Unicorn 2.0.1 cannot translate it" }
            let instructions = shape.split(separator: "; ")
            return instructions.contains { $0.hasPrefix("v") || $0.hasPrefix("evex ") } ? "AVX is not emulated" : nil
        }
    }

    @Test func everyShapeDoesTheSameOnTheProcessor() async throws {
        try await Self.check("execute", flags: "-static -fno-stack-protector", states: 2) { shape in
            if Self.readsClock(shape) { return "what it reads is never the same twice" }
            if shape.contains("syscall") { return "it would be a real system call" }
            if shape.contains("xabort") || shape.contains("xbegin") { return "the processor may lack transactions" }
            return shape.contains("evex ") ? "the processor may lack AVX-512" : nil
        }
    }

    private static func readsClock(_ shape: String) -> Bool {
        ["rdtsc", "rdrand", "rdseed", "rdpid", "cpuid"].contains { shape.contains($0) }
    }

    /// Runs one prologue of each shape in `states` different states of registers, flags and memory.
    ///
    /// - Parameter excuse: why a shape need not have been run; nil if it must.
    private static func check(
        _ program: String, flags: String, states: Int, excuse: (String) -> String?
    ) async throws {
        let (specimens, functions) = try await made.value
        #expect(specimens.count > 500)
        let clock = ContinuousClock()
        let start = clock.now
        let lines = try run(program, flags: flags, specimens, states: states)
        var tally = Tally()
        for (specimen, line) in zip(specimens, lines) where !tally.add(line) {
            // Only what reads a clock may be different; what could not be run must have a reason that is known.
            let text = "\(specimen.shape) [\(specimen.file) \(String(specimen.function.address, radix: 16))]: \(line)"
            let reason = excuse(specimen.shape)
            #expect(reason != nil && (line.hasPrefix("cannot ") || readsClock(specimen.shape)), "\(text)")
            print("\(program): not run, \(reason ?? "no reason"): \(text)")
        }
        print("\(program): functions \(functions), shapes \(specimens.count), run \(tally) in \(clock.now - start)")
        #expect(tally.shapes * 100 > specimens.count * 98)
        // Branches of prologues were seen to go both ways.
        #expect(tally.bothWays > 50)
    }

    /// What was run, in numbers.
    struct Tally: CustomStringConvertible {
        var shapes = 0
        var arrived = 0
        var faulted = 0
        var bothWays = 0
        var systemCalls = 0

        /// Counts a line of a program; false if it is not one of a run that came out right.
        mutating func add(_ line: String) -> Bool {
            let words = line.split(separator: " ")
            guard words.count == 5, words[0] == "same", let arrived = Int(words[1]), let faulted = Int(words[2]),
                let destinations = Int(words[3]), let calls = Int(words[4])
            else { return false }
            shapes += 1
            self.arrived += arrived
            self.faulted += faulted
            if destinations > 1 { bothWays += 1 }
            if calls > 0 { systemCalls += 1 }
            return true
        }

        var description: String {
            "\(shapes), states that ended \(arrived) and faulted \(faulted), shapes with several ends \(bothWays), "
                + "with a system call \(systemCalls)"
        }
    }

    private static let made = Task {
        var functions = 0
        let result = try await specimens(&functions)
        return (specimens: result, functions: functions)
    }

    private static func specimens(_ functions: inout Int) async throws -> [Specimen] {
        var names = PrologueShape()
        var seen: Set<String> = []
        var result: [Specimen] = []
        for file in try await ShippedFile.all() {
            let target = PrologueCase.base..<(PrologueCase.base + file.survey.addresses.upperBound)
            let reach = try #require(Reach.placement(imageSize: 0x2000, target: target))
            let near = (target.upperBound + 0xfff) & ~0xfff
            for function in file.survey.functions {
                guard case .relocated(let relocation) = function.outcome else { continue }
                functions += 1
                let shape = names.name(of: function.bytes[..<relocation.originalSize])
                guard seen.insert(shape).inserted else { continue }
                // Below and above the target in turn.
                let far = result.count % 2 == 0 ? reach.lowerBound : reach.upperBound
                let run = try PrologueCase(function, relocation: relocation, near: near, far: far)
                result.append(Specimen(shape: shape, file: file.location.name, function: function, run: run))
            }
        }
        return result
    }

    /// The lines of a program, one for each.
    private static func run(
        _ program: String, flags: String, _ specimens: [Specimen], states: Int
    ) throws -> [String] {
        let directory = try ShippedFile.directory()
        let source =
            URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path
            + "/Programs/\(program).c"
        let path = directory + "/" + program
        try #require(system("gcc -O2 -Wall -Wextra -Werror -o '\(path)' '\(source)' \(flags)") == 0)
        let cases = PrologueCase.file(specimens.map(\.run), states: states)
        try Data(cases).write(to: URL(filePath: path + ".cases"))
        let status = system("'\(path)' '\(path).cases' > '\(path).lines'")
        try #require(status == 0, "\(program) ended with \(status)")
        let output = try String(contentsOf: URL(filePath: path + ".lines"), encoding: .utf8)
        let lines = output.split(separator: "\n").map(String.init)
        try #require(lines.count == specimens.count, "\(program) printed \(lines.count) lines")
        return lines
    }
}
