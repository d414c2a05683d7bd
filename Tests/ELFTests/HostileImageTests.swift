//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF
import Testing

/// A generator of numbers that gives the same ones each time (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}

/// Damaged files: whatever the bytes are, reading throws or answers; it never traps.
@Suite struct HostileImageTests {
    /// Calls everything that reads, each for itself, and counts what answered and what threw.
    private final class Walk {
        var answered = 0
        var threw = 0

        func attempt(_ body: () throws(ELFError) -> Void) {
            do throws(ELFError) {
                try body()
                answered += 1
            } catch {
                threw += 1
            }
        }

        func walk(_ bytes: [UInt8]) {
            let file: ELFFile
            do throws(ELFError) {
                file = try ELFFile(bytes)
            } catch {
                threw += 1
                return
            }
            file.withImage { image in
                sections(image)
                tables(image)
                segments(image)
                dynamic(image)
            }
            attempt { () throws(ELFError) in
                let memory = try ELFImage(memory: bytes.span.bytes, loadBias: 0x1000)
                segments(memory)
                dynamic(memory)
            }
        }

        private func sections(_ image: borrowing ELFImage) {
            let all = (try? image.sections.copied()) ?? []
            for section in all.prefix(100) {
                attempt { () throws(ELFError) in _ = try image.name(of: section) }
                attempt { () throws(ELFError) in _ = try image.contents(of: section).byteCount }
                attempt { () throws(ELFError) in
                    let notes = try image.notes(in: section)
                    for note in try notes.parsed() { _ = try notes.descriptor(of: note).byteCount }
                }
            }
            attempt { () throws(ELFError) in _ = try image.section(named: ".text") }
            attempt { () throws(ELFError) in _ = try image.buildID() }
        }

        private func tables(_ image: borrowing ELFImage) {
            let all = (try? image.sections.copied()) ?? []
            for section in all.prefix(100) {
                attempt { () throws(ELFError) in
                    let table = try image.symbolTable(in: section)
                    for index in 0..<min(table.count, 1000) {
                        _ = try? table.name(of: try table[index])
                        _ = try table.section(of: try table[index])
                    }
                    _ = try table.first(named: "work")
                }
                attempt { () throws(ELFError) in
                    for relocation in try image.relocations(in: section).copied() { _ = relocation.type.x86_64Name }
                }
            }
            attempt { () throws(ELFError) in _ = try image.relocationSections() }
        }

        private func segments(_ image: borrowing ELFImage) {
            let all = (try? image.segments.copied()) ?? []
            for segment in all.prefix(100) {
                attempt { () throws(ELFError) in _ = try image.contents(of: segment).byteCount }
                attempt { () throws(ELFError) in _ = try image.notes(in: segment).parsed() }
                attempt { () throws(ELFError) in
                    _ = try image.offset(ofAddress: segment.address, count: segment.memorySize)
                }
                attempt { () throws(ELFError) in _ = try image.contents(fromAddress: segment.address).byteCount }
            }
            attempt { () throws(ELFError) in _ = try image.firstAddress() }
            attempt { () throws(ELFError) in _ = try image.endAddress() }
        }

        private func dynamic(_ image: borrowing ELFImage) {
            attempt { () throws(ELFError) in _ = try image.dynamic?.soname() }
            attempt { () throws(ELFError) in _ = try image.dynamic?.needed() }
            attempt { () throws(ELFError) in _ = try image.dynamic?.relocations.count }
            attempt { () throws(ELFError) in _ = try image.dynamic?.pltRelocations.count }
            attempt { () throws(ELFError) in _ = try image.dynamic?.symbols.count }
            attempt { () throws(ELFError) in
                guard let versions = try image.dynamic?.versions else { return }
                for index in 0..<min(versions.count, 1000) {
                    if let version = try versions.version(ofSymbol: index) { _ = try versions.name(of: version) }
                }
            }
        }
    }

    private static func samples() throws -> [[UInt8]] {
        try withDirectory { directory in
            [
                try contents(try compile(in: directory, ["-c"], to: "example.o")),
                try contents(
                    try compile(in: directory, ["-shared", "-fPIC", "-nostdlib", "-Wl,-z,noseparate-code"], to: "e.so")),
                try contents(
                    try compile(
                        in: directory, ["-shared", "-fPIC", "-Wl,--hash-style=sysv,-z,noseparate-code", "-s"],
                        to: "s.so")),
            ]
        }
    }

    @Test func everyLength() throws {
        for sample in try Self.samples() {
            let whole = Walk()
            whole.walk(sample)
            #expect(whole.answered > 20)
            // Every length of the headers, then every seventh.
            for length in Array(0..<200) + Array(stride(from: 200, to: sample.count, by: 7)) {
                let walk = Walk()
                walk.walk(Array(sample[..<length]))
                #expect(walk.threw > 0, "a file cut at \(length) was read as whole")
            }
        }
    }

    @Test func randomDamage() throws {
        var random = SeededGenerator(seed: 3)
        let extremes: [UInt8] = [0, 1, 0x7f, 0x80, 0xff]
        let walk = Walk()
        for sample in try Self.samples() {
            // Headers and tables are what matters: aim at the first and the last kilobyte half of the time.
            for round in 0..<2500 {
                var bytes = sample
                for _ in 0..<Int.random(in: 1...8, using: &random) {
                    let range =
                        switch round % 4 {
                        case 0: 0..<min(1024, bytes.count)
                        case 1: max(0, bytes.count - 2048)..<bytes.count
                        default: 0..<bytes.count
                        }
                    let index = Int.random(in: range, using: &random)
                    bytes[index] =
                        Bool.random(using: &random)
                        ? UInt8.random(in: 0...255, using: &random) : extremes[Int.random(in: 0..<5, using: &random)]
                }
                walk.walk(bytes)
            }
        }
        #expect(walk.answered > 10_000)
        #expect(walk.threw > 1000)
    }

    @Test func randomBytesWithAGoodHeader() throws {
        var random = SeededGenerator(seed: 5)
        let sample = try #require(try Self.samples().last)
        let walk = Walk()
        for _ in 0..<500 {
            var bytes = Array(sample[..<min(sample.count, 4096)])
            for index in 64..<bytes.count { bytes[index] = UInt8.random(in: 0...255, using: &random) }
            walk.walk(bytes)
        }
        #expect(walk.threw > 500)
    }

    @Test func wrongKinds() {
        func code(_ bytes: [UInt8]) -> ELFError.Code? {
            do throws(ELFError) {
                _ = try ELFFile(bytes)
                return nil
            } catch {
                return error.code
            }
        }
        var header: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 57)
        header[20] = 1
        #expect(code(header) == nil)
        #expect(code([]) == .notELF)
        #expect(code(Array("#!/bin/sh".utf8)) == .notELF)
        #expect(code(Array(header[..<63])) == .outOfBounds)
        for (index, value) in [(4, UInt8(1)), (5, 2), (6, 0), (20, 2)] {
            var other = header
            other[index] = value
            #expect(code(other) == .unsupported, "byte \(index)")
        }
        // Section headers of a size that is not theirs.
        var sized = header
        sized[40] = 64
        sized[58] = 63
        #expect(code(sized) == .malformed)
        // PN_XNUM without a section that tells the number.
        var segments = header
        segments[54] = 56
        segments[56] = 0xff
        segments[57] = 0xff
        #expect(code(segments) == .malformed)
    }
}
