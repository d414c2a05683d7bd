//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import Glibc
import LivePatch

/// A library that is loaded into the test itself and patched there, in the order that an applier does it:
/// image, gates, one write of the state word, direct jumps. One thread, so nothing has to stop.
final class LoadedPatch {
    struct Failure: Error { var description: String }

    private let handle: UnsafeMutableRawPointer
    private let base: Int
    private let image: UnsafeMutableRawPointer
    private let imageSize: Int
    private let state: UnsafeMutablePointer<UInt64>
    private let patch: Patch

    init(library: URL, patch: Patch) throws {
        guard let handle = dlopen(library.path, RTLD_NOW | RTLD_LOCAL) else {
            throw Failure(description: String(cString: dlerror()))
        }
        self.handle = handle
        self.patch = patch
        // Its size says 0, so it is read to its end.
        let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: "/proc/self/maps"))
        let maps = String(decoding: try file.readToEnd() ?? Data(), as: UTF8.self)
        guard let line = maps.split(separator: "\n").first(where: { $0.hasSuffix(library.path) }),
            let base = Int(line.prefix { $0 != "-" }, radix: 16)
        else { throw Failure(description: "not mapped") }
        self.base = base
        state = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
        state.pointee = 0

        // Some place near the library.
        imageSize = patch.image.size
        var found: UnsafeMutableRawPointer?
        for distance in stride(from: 0x100_0000, to: 0x4000_0000, by: 0x10_0000) where found == nil {
            let hint = UnsafeMutableRawPointer(bitPattern: (base & ~0xfff) - distance)
            let flags = MAP_PRIVATE | MAP_ANONYMOUS | 0x10_0000  // MAP_FIXED_NOREPLACE
            let memory = mmap(hint, (imageSize + 0xfff) & ~0xfff, PROT_READ | PROT_WRITE, flags, -1, 0)
            if let memory, memory != MAP_FAILED { found = memory }
        }
        guard let found else { throw Failure(description: "no room") }
        image = found
        fill()
        guard mprotect(image, (imageSize + 0xfff) & ~0xfff, PROT_READ | PROT_EXEC) == 0 else {
            throw Failure(description: "mprotect")
        }
    }

    private func fill() {
        for (offset, bytes) in [
            (0, patch.image.code), (patch.image.constantsOffset, patch.image.constants),
            (patch.image.unwindOffset, patch.image.unwind),
        ] {
            for (index, byte) in bytes.enumerated() {
                image.storeBytes(of: byte, toByteOffset: offset + index, as: UInt8.self)
            }
        }
        for relocation in patch.image.relocations {
            let destination =
                switch relocation.destination {
                case .target(let address): base + Int(address)
                case .image(let offset): Int(bitPattern: image) + Int(offset)
                }
            let value = destination + Int(relocation.addend)
            let place = Int(bitPattern: image) + Int(relocation.offset)
            switch relocation.kind {
            case .relative32:
                (image + Int(relocation.offset)).copyMemory(from: [Int32(value - place)], byteCount: 4)
            case .absolute64:
                (image + Int(relocation.offset)).copyMemory(from: [value], byteCount: 8)
            }
        }
        (image + patch.image.constantsOffset).copyMemory(from: [Int(bitPattern: state)], byteCount: 8)
    }

    /// Whether the bytes in memory are those that the patch expects.
    var memoryIsAsExpected: Bool {
        patch.entries.allSatisfy { entry in
            guard let place = UnsafeRawPointer(bitPattern: base + Int(entry.address)) else { return false }
            return memcmp(place, entry.expected, entry.expected.count) == 0
        }
    }

    /// Writes jumps over all entries: to their gates, or to the new functions.
    func jump(toGates: Bool) throws {
        for entry in patch.entries {
            let offset: UInt32
            if toGates {
                guard let gate = entry.gate else { throw Failure(description: "no gate") }
                offset = gate.offset
            } else {
                offset = entry.replacement
            }
            let place = base + Int(entry.address)
            let displacement = Int32(Int(bitPattern: image) + Int(offset) - place - 5)
            try write([0xe9] + withUnsafeBytes(of: displacement) { Array($0) }, at: place)
        }
    }

    /// Puts the old bytes back.
    func undo() throws {
        for entry in patch.entries { try write(Array(entry.expected.prefix(5)), at: base + Int(entry.address)) }
    }

    /// The one write that commits.
    func commit(_ value: UInt64 = 1) { state.pointee = value }

    private func write(_ bytes: [UInt8], at address: Int) throws {
        guard let page = UnsafeMutableRawPointer(bitPattern: address & ~0xfff),
            let place = UnsafeMutableRawPointer(bitPattern: address)
        else { throw Failure(description: "address") }
        guard mprotect(page, 0x2000, PROT_READ | PROT_WRITE | PROT_EXEC) == 0 else {
            throw Failure(description: "mprotect")
        }
        place.copyMemory(from: bytes, byteCount: bytes.count)
        _ = mprotect(page, 0x2000, PROT_READ | PROT_EXEC)
    }

    /// Calls an exported `int f(int)`.
    func call(_ name: String, _ argument: Int32) -> Int32 {
        guard let symbol = dlsym(handle, name) else { return Int32.min }
        return unsafeBitCast(symbol, to: (@convention(c) (Int32) -> Int32).self)(argument)
    }

    /// Calls an exported `int f(int *)`.
    func call(_ name: String, pointingTo value: Int32) -> Int32 {
        guard let symbol = dlsym(handle, name) else { return Int32.min }
        var value = value
        return unsafeBitCast(symbol, to: (@convention(c) (UnsafeMutablePointer<Int32>) -> Int32).self)(&value)
    }

    /// Calls an exported `const char *f(int)`.
    func text(_ name: String, _ argument: Int32 = 0) -> String {
        guard let symbol = dlsym(handle, name) else { return "" }
        return String(
            cString: unsafeBitCast(symbol, to: (@convention(c) (Int32) -> UnsafePointer<CChar>).self)(argument))
    }

    /// Calls an exported `double f(double)`.
    func real(_ name: String, _ argument: Double) -> Double {
        guard let symbol = dlsym(handle, name) else { return .nan }
        return unsafeBitCast(symbol, to: (@convention(c) (Double) -> Double).self)(argument)
    }

    /// Calls an exported `void *f(void)`.
    func pointer(_ name: String) -> Int {
        guard let symbol = dlsym(handle, name) else { return 0 }
        return unsafeBitCast(symbol, to: (@convention(c) () -> Int).self)()
    }

    /// Unloads all of it.
    func close() {
        munmap(image, (imageSize + 0xfff) & ~0xfff)
        dlclose(handle)
        state.deallocate()
    }
}
