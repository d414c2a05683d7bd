//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import Glibc
import MachineCode
import PatchBuilding
import Testing

/// One prologue of each shape that the five binaries have, run as it was, moved, and in a gate.
@Suite(.serialized) struct PrologueRunTests {
    /// Different states of registers, flags and memory that each prologue starts from.
    static let states = 8

    /// A shape and the function that stands for it.
    struct Specimen {
        let shape: String
        let file: String
        let function: PrologueSurvey.Function
        let run: PrologueCase
    }

    @Test func everyShapeDoesTheSameElsewhere() async throws {
        var functions = 0
        let specimens = try await Self.specimens(&functions)
        #expect(specimens.count > 500)
        let clock = ContinuousClock()
        let start = clock.now
        let emulated = try Self.run("emulate", flags: "-lunicorn", specimens)
        var refused: [Specimen] = []
        var tally = Tally()
        for (specimen, line) in zip(specimens, emulated) {
            if tally.add(line) { continue }
            #expect(line.hasPrefix("cannot "), "\(Self.text(specimen)): \(line)")
            refused.append(specimen)
        }
        print("functions \(functions), shapes \(specimens.count); emulated \(tally) in \(clock.now - start)")

        // What the emulator does not know is run on the processor, system calls excepted.
        let executable = refused.filter { !$0.shape.contains("syscall") }
        var native = Tally()
        var left = refused.filter { $0.shape.contains("syscall") }.map { (specimen: $0, reason: "system call") }
        for (specimen, line) in zip(executable, try Self.run("execute", flags: "-static", executable)) {
            if native.add(line) { continue }
            #expect(line.hasPrefix("cannot "), "\(Self.text(specimen)): \(line)")
            left.append((specimen, String(line.dropFirst(7))))
        }
        print("on the processor: \(native)")
        for (specimen, reason) in left { print("not run (\(reason)): \(Self.text(specimen))") }
        for (specimen, _) in left {
            #expect(Self.reasonNotToRun(specimen.shape) != nil, "\(Self.text(specimen)) should run")
        }
        #expect(tally.shapes + native.shapes + left.count == specimens.count)
    }

    /// Why a shape may be one that neither can run, nil if it has to be run.
    private static func reasonNotToRun(_ shape: String) -> String? {
        if shape.contains("evex ") || shape.contains("zmm") { return "AVX-512, which this processor may lack" }
        if shape.contains("xbegin") || shape.contains("xtest") { return "transactions, which this processor may lack" }
        return nil
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
            "shapes \(shapes), states \(arrived) to an end and \(faulted) to a fault, with several ends \(bothWays), "
                + "with a system call \(systemCalls)"
        }
    }

    private static func text(_ specimen: Specimen) -> String {
        "\(specimen.shape) [\(specimen.file) \(String(specimen.function.address, radix: 16))]"
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
    private static func run(_ program: String, flags: String, _ specimens: [Specimen]) throws -> [String] {
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
