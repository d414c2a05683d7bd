//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import Foundation
import LivePatch
import MachineCode
import TestSupport
import Unwinding

/// Compiles the libraries and programs of the tests once, and makes live patches for them by hand: with a compiler
/// and binutils, and no builder.
final class Workshop: Sendable {
    static let shared = Result { try Workshop() }

    let directory: String

    private static let flags = [
        "-O2", "-g0", "-fPIC", "-fcf-protection=branch", "-fno-omit-frame-pointer", "-fno-inline", "-fno-ipa-cp",
        "-fno-ipa-ra", "-fno-optimize-sibling-calls",
    ]

    private init() throws {
        directory = "\(TestProgram.directory)/workshop"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let sources = URL(filePath: #filePath).deletingLastPathComponent().path + "/Programs"
        for name in ["fault", "two", "one"] {
            let others = name == "one" ? ["-L\(directory)", "-ltwo", "-Wl,-rpath,$ORIGIN"] : []
            try Self.run(
                "gcc",
                Self.flags + ["-shared", "-Wl,--build-id=sha1", "-Wl,-soname,lib\(name).so"]
                    + ["-o", "\(directory)/lib\(name).so", "\(sources)/\(name).c"] + others)
            try Self.run(
                "gcc", Self.flags + ["-DNEW_VERSION", "-c", "-o", "\(directory)/\(name).o", "\(sources)/\(name).c"])
        }
        try Self.run(
            "gcc",
            Self.flags + ["-DNEW_VERSION", "-DSET_DATA", "-c", "-o", "\(directory)/one-set.o", "\(sources)/one.c"])
        try Self.run(
            "gcc",
            ["-O2", "-pthread", "-o", "\(directory)/halves", "\(sources)/halves.c", "-L\(directory)", "-lone", "-ltwo"]
                + ["-Wl,-rpath,$ORIGIN"])
        try Self.run(
            "gcc",
            ["-O2", "-pthread", "-o", "\(directory)/handler", "\(sources)/handler.c", "-L\(directory)", "-lfault"]
                + ["-Wl,-rpath,$ORIGIN"])
    }

    @discardableResult
    static func run(_ tool: String, _ arguments: [String]) throws -> String {
        let result = try Command.run("/usr/bin/env", [tool] + arguments)
        guard result.status == 0 else { throw WorkshopError(text: "\(tool): \(result.output)") }
        return result.output
    }

    // MARK: Patches

    /// The patch that turns `functions` of a library into those of its new version.
    func patch(
        _ library: String, _ functions: [String], identifier: String? = nil, verdict: Verdict = .quiescent,
        requires: [String] = [], prologue lengths: [UInt8] = [4, 1], hasGates: Bool = true, new: String? = nil
    ) throws -> Patch {
        let path = "\(directory)/lib\(library).so"
        let newPath = "\(directory)/\(new ?? library).o"
        let file = [UInt8](try Data(contentsOf: URL(filePath: path)))
        let object = [UInt8](try Data(contentsOf: URL(filePath: newPath)))
        let symbols = try Self.symbols(path)
        let plt = try Self.plt(path)
        let newSymbols = try Self.symbols(newPath)
        let text = try Self.section(".text", of: newPath)
        var code = Array(object[text.offset..<(text.offset + text.size)])
        var relocations: [Relocation] = []
        for line in try Self.relocations(of: ".text", in: newPath) {
            guard let place = plt[line.symbol] ?? symbols[line.symbol]?.address else {
                throw WorkshopError(text: "no place for \(line.symbol)")
            }
            relocations.append(
                Relocation(offset: line.offset, kind: .relative32, destination: .target(place), addend: line.addend))
        }
        let oldFrames = try Self.frames(of: path, file: file, places: nil)
        let newFrames = try Self.frames(
            of: newPath, file: object,
            places: try Self.relocations(of: ".eh_frame", in: newPath))
        var unwind = EHFrameWriter()
        for (offset, frame) in newFrames { try unwind.add(frame, at: UInt32(offset)) }

        var entries: [Entry] = []
        var gates: [(field: UInt32, addend: Int64)] = []
        for name in functions {
            guard let old = symbols[name], let new = newSymbols[name] else { throw WorkshopError(text: name) }
            // Addresses and file offsets of these small libraries are the same in the first two segments.
            let bytes = Array(file[Int(old.address)..<Int(old.address + old.size)])
            guard lengths != [4, 1] || bytes.prefix(5) == [0xF3, 0x0F, 0x1E, 0xFA, 0x55] else {
                throw WorkshopError(text: "\(name) does not begin with endbr64 and push rbp")
            }
            let shapes = lengths.map { InstructionShape(length: $0, field: .none) }
            let prologue = try PrologueRelocation(
                function: bytes, at: old.address, shapes: shapes, branchDestinations: [])
            let gate = GateBuilder(prologue: prologue, address: old.address)
            while code.count % 16 != 0 { code.append(0xCC) }
            let start = UInt32(code.count)
            code += gate.bytes
            for request in gate.requests {
                let field = start + UInt32(request.offset)
                switch request.destination {
                case .statePointer: gates.append((field, request.addend))
                case .replacement:
                    relocations.append(
                        Relocation(
                            offset: field, kind: .relative32, destination: .image(UInt32(new.address)),
                            addend: request.addend))
                case .target(let address):
                    relocations.append(
                        Relocation(
                            offset: field, kind: .relative32, destination: .target(address), addend: request.addend))
                }
            }
            try unwind.addGate(
                at: start, size: UInt32(gate.bytes.count),
                steps: gate.stackSteps.map {
                    EHFrameWriter.StackStep(
                        offset: UInt32($0.offset), canonicalFrameAddressOffset: UInt32($0.canonicalFrameAddressOffset))
                },
                places: gate.places.map {
                    EHFrameWriter.Place(original: UInt32($0.original), copy: UInt32($0.relocated))
                }, original: oldFrames.first { $0.0 == old.address }?.1)
            entries.append(
                Entry(
                    name: name, address: old.address, expected: bytes, masked: [], prologue: lengths,
                    replacement: UInt32(new.address), replacementSize: UInt32(new.size),
                    gate: !hasGates
                        ? nil
                        : Gate(
                            offset: start, size: UInt32(gate.bytes.count), original: start + UInt32(gate.original))))
        }
        var image = Image(code: code, constants: [UInt8](repeating: 0, count: 8), unwind: [], relocations: [])
        for gate in gates {
            relocations.append(
                Relocation(
                    offset: gate.field, kind: .relative32, destination: .image(UInt32(image.constantsOffset)),
                    addend: gate.addend))
        }
        image.relocations = relocations.sorted { $0.offset < $1.offset }
        image.unwind = try unwind.section(at: UInt32(image.unwindOffset)).bytes
        return Patch(
            identifier: identifier ?? "FIX-\(library)",
            target: Target(
                buildID: try Self.buildID(path), name: "lib\(library).so", package: "lib\(library)",
                packageVersion: "1-1", machine: 62),
            provenance: Provenance(
                cves: [], partOf: "", source: library, suite: "test", vulnerableVersion: "1", fixedVersion: "2",
                reasons: [], inputs: []),
            verdict: verdict, entries: entries.sorted { $0.address < $1.address }, image: image, symbols: [],
            requires: requires)
    }

    /// Writes a patch as a file; gives its path.
    func write(_ patch: Patch) throws -> String {
        let bytes = try PatchWriter.write(patch) { SHA256.digest(of: $0).bytes }
        let path = "\(directory)/\(patch.identifier)-\(UInt32.random(in: 0 ... .max)).moult"
        try Data(bytes).write(to: URL(filePath: path))
        return path
    }

    // MARK: What binutils say

    static func symbols(_ path: String) throws -> [String: (address: UInt64, size: UInt64)] {
        var result: [String: (address: UInt64, size: UInt64)] = [:]
        for line in try run("nm", ["-S", "--defined-only", path]).split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 4, let address = UInt64(words[0], radix: 16), let size = UInt64(words[1], radix: 16)
            else { continue }
            result[String(words[3])] = (address, size)
        }
        return result
    }

    private static func plt(_ path: String) throws -> [String: UInt64] {
        var result: [String: UInt64] = [:]
        for line in try run("objdump", ["-d", path]).split(separator: "\n") where line.hasSuffix("@plt>:") {
            let words = line.split(separator: " ")
            result[String(words[1].dropFirst().dropLast(6))] = UInt64(words[0], radix: 16)
        }
        return result
    }

    private static func section(_ name: String, of path: String) throws -> (address: UInt64, offset: Int, size: Int) {
        for line in try run("readelf", ["-SW", path]).split(separator: "\n") {
            let words = line.replacing("[ ", with: "[").split(separator: " ")
            guard words.count > 6, words[1] == name, let address = UInt64(words[3], radix: 16),
                let offset = Int(words[4], radix: 16), let size = Int(words[5], radix: 16)
            else { continue }
            return (address, offset, size)
        }
        throw WorkshopError(text: "no \(name) in \(path)")
    }

    private static func relocations(
        of section: String, in path: String
    ) throws -> [(offset: UInt32, symbol: String, addend: Int64)] {
        var result: [(offset: UInt32, symbol: String, addend: Int64)] = []
        var inside = false
        for line in try run("readelf", ["-rW", path]).split(separator: "\n") {
            if line.hasPrefix("Relocation section") { inside = line.contains("'.rela\(section)'") }
            let words = line.split(separator: " ")
            guard inside, words.count >= 7, let offset = UInt32(words[0], radix: 16),
                let value = Int64(words[6], radix: 16)
            else { continue }
            result.append((offset, String(words[4]), words[5] == "-" ? -value : value))
        }
        return result
    }

    /// FDEs with the function's address (linked file) or offset in `.text` (object).
    private static func frames(
        of path: String, file: [UInt8], places: [(offset: UInt32, symbol: String, addend: Int64)]?
    ) throws -> [(UInt64, ExtractedFrame)] {
        let section = try section(".eh_frame", of: path)
        let bytes = Array(file[section.offset..<(section.offset + section.size)])
        return try ExtractedFrame.all(in: bytes).map { frame in
            if let places {
                let place = places.first { Int($0.offset) == frame.startFieldOffset }
                return (UInt64(place?.addend ?? 0), frame)
            }
            var distance: UInt32 = 0
            for index in 0..<4 { distance |= UInt32(bytes[frame.startFieldOffset + index]) << (8 * index) }
            let field = section.address + UInt64(frame.startFieldOffset)
            return (field &+ UInt64(bitPattern: Int64(Int32(bitPattern: distance))), frame)
        }
    }

    private static func buildID(_ path: String) throws -> [UInt8] {
        let text = try run("readelf", ["-n", path])
        guard let hex = text.split(separator: "Build ID: ").last?.prefix(40) else {
            throw WorkshopError(text: "no build-id")
        }
        var bytes: [UInt8] = []
        var rest = Substring(hex)
        while let byte = UInt8(rest.prefix(2), radix: 16) {
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        return bytes
    }
}

/// Why something could not be made.
struct WorkshopError: Error {
    var text: String
}
