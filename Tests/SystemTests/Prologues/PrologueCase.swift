//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import MachineCode
import PatchBuilding
import Testing

/// One prologue and how it is run: where it is, moved to two places, and in a gate with both states.
struct PrologueCase: Sendable {
    /// Where the target lies in the address space that the runs see.
    static let base: UInt64 = 0x5555_5555_4000
    /// The word that a gate's slot points to.
    static let stateWord: UInt64 = 0x6000_0000_0000
    /// Where a gate leads when the word is set.
    static let replacementOffset: UInt64 = 0x800
    static let slotOffset: UInt64 = 0x1000

    /// Kinds of runs, as the programs number them.
    private enum Kind: UInt64, Sendable {
        case same = 0
        case old = 1
        case new = 2
    }

    private struct Run: Sendable {
        var kind = Kind.same
        var start: UInt64
        var replacement: UInt64 = 0
        var loads: [(address: UInt64, bytes: [UInt8])]
        var places: [UInt64]
        var ranges: [Range<UInt64>]
    }

    private let runs: [Run]

    /// - Parameters:
    ///   - function: a function whose prologue was relocated.
    ///   - near, far: where its copies are to lie, and a gate of two pages.
    init(_ function: PrologueSurvey.Function, relocation: PrologueRelocation, near: UInt64, far: UInt64) throws {
        let entry = Self.base + function.address
        let size = relocation.originalSize
        let original = (address: entry, bytes: [UInt8](function.bytes[..<size]))
        var runs = [
            Run(
                start: entry, loads: [original], places: relocation.places.map { entry + UInt64($0.original) },
                ranges: [entry..<(entry + UInt64(size))])
        ]
        for place in [near, far] {
            let code = try Self.moved(relocation, of: function, to: place)
            runs.append(
                Run(
                    start: place, loads: [original, (place, code)],
                    places: relocation.places.map { place + UInt64($0.relocated) },
                    ranges: [place..<(place + UInt64(code.count))]))
        }
        let gate = GateBuilder(prologue: relocation, address: function.address)
        let code = try Self.filled(gate.bytes, gate.requests, at: far)
        let jump = try Jump.bytes(from: entry, to: far)
        for (kind, state) in [(Kind.old, UInt64(0)), (.new, 1), (.new, 1 << 63)] {
            runs.append(
                Run(
                    kind: kind, start: entry, replacement: far + Self.replacementOffset,
                    loads: [
                        original, (entry, jump), (far, code), (far + Self.slotOffset, Self.bytes(Self.stateWord)),
                        (Self.stateWord, Self.bytes(state)),
                    ], places: gate.places.map { far + UInt64($0.relocated) },
                    ranges: [entry..<(entry + UInt64(Jump.size)), far..<(far + UInt64(code.count))]))
        }
        self.runs = runs
    }

    /// The relocated prologue at a place, and the jump back behind it.
    static func moved(
        _ relocation: PrologueRelocation, of function: PrologueSurvey.Function, to place: UInt64, base: UInt64 = base
    ) throws -> [UInt8] {
        let code = try filled(relocation.bytes, relocation.requests, at: place, base: base)
        let end = base &+ function.address &+ UInt64(relocation.originalSize)
        return code + [0xE9] + displacement(try distance(from: place &+ UInt64(code.count + 5), to: end))
    }

    /// Fills in fields as the applier does: destination + addend - place.
    private static func filled(
        _ code: [UInt8], _ requests: [FieldRequest], at place: UInt64, base: UInt64 = base
    ) throws -> [UInt8] {
        var code = code
        for request in requests {
            let destination =
                switch request.destination {
                case .statePointer: place &+ slotOffset
                case .replacement: place &+ replacementOffset
                case .target(let address): base &+ address
                }
            let value = try distance(
                from: place &+ UInt64(request.offset), to: destination &+ UInt64(bitPattern: request.addend))
            code.replaceSubrange(request.offset..<(request.offset + 4), with: displacement(value))
        }
        return code
    }

    /// Modulo 2^64, as the processor computes.
    private static func distance(from: UInt64, to: UInt64) throws -> Int32 {
        try #require(Int32(exactly: Int64(bitPattern: to &- from)))
    }

    private static func displacement(_ value: Int32) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { [UInt8]($0) }
    }

    private static func bytes(_ value: UInt64) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { [UInt8]($0) } }

    // MARK: - The file of cases

    /// The file that the programs read (`Programs/cases.h` says what it holds).
    static func file(_ cases: [PrologueCase], states: Int) -> [UInt8] {
        var file = bytes(UInt64(states)) + bytes(UInt64(cases.count))
        for one in cases {
            file += bytes(UInt64(one.runs.count))
            for run in one.runs { append(run, to: &file) }
        }
        return file
    }

    private static func append(_ run: Run, to file: inout [UInt8]) {
        file += bytes(run.kind.rawValue) + bytes(run.start) + bytes(run.replacement) + bytes(UInt64(run.loads.count))
        for load in run.loads {
            let padding = [UInt8](repeating: 0, count: (8 - load.bytes.count % 8) % 8)
            file += bytes(load.address) + bytes(UInt64(load.bytes.count)) + load.bytes + padding
        }
        file += bytes(UInt64(run.places.count))
        for place in run.places { file += bytes(place) }
        file += bytes(UInt64(run.ranges.count))
        for range in run.ranges { file += bytes(range.lowerBound) + bytes(range.upperBound) }
    }
}
