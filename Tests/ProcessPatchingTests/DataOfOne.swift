//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import ProcessInspection
import Testing

/// The data of `libone.so` in a running program, read from outside.
struct DataOfOne {
    let slot: UInt64
    let factors: [UInt32]
    let share: UInt8
    /// What the slot holds without a patch.
    private let idle: UInt64

    init(_ program: Halves, _ workshop: Workshop) throws {
        let symbols = try Self.symbols(workshop)
        let base = try Self.base(program)
        let process = try ProcessHandle(pid: program.pid)
        func bytes(_ name: String, _ count: Int) throws -> [UInt8] {
            try process.read(base + (try #require(symbols[name])), count: count)
        }
        let slot = try bytes("one_slot", 8)
        let factors = try bytes("one_factor", 8)
        self.slot = Self.number(slot[...])
        self.factors = [UInt32(Self.number(factors[..<4])), UInt32(Self.number(factors[4...]))]
        share = try bytes("one_share", 1)[0]
        idle = base + (try #require(symbols["one_idle"]))
    }

    /// What `PatchFiles.dataSetter` sets, nothing beside it.
    var areSet: Bool { slot != idle && factors == [1, 7] && share == 4 }
    var areOriginal: Bool { slot == idle && factors == [1, 1] && share == 1 }
    var areMixed: Bool { !areSet && !areOriginal }

    /// Where the library lies.
    static func base(_ program: Halves) throws -> UInt64 {
        let process = try ProcessHandle(pid: program.pid)
        let object = process.loadedObjects(in: try process.mappings()).first { $0.displayName.hasSuffix("libone.so") }
        return try #require(object).loadBias
    }

    static func symbols(_ workshop: Workshop) throws -> [String: UInt64] { try known.get() }

    /// Asked for once: the kill tests look hundreds of times.
    private static let known = Result {
        try Workshop.symbols("\(Workshop.shared.get().directory)/libone.so").mapValues(\.address)
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}
