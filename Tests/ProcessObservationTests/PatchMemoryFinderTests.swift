//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import Glibc
import LivePatch
import PatchPlan
import ProcessInspection
import ProcessObservation
import Testing

private let sha256 = Digester { bytes in SHA256.digest(of: bytes.span.bytes).bytes }

/// Patch memory as the applier would have made it, in the process of the test: written by the test itself.
private final class OwnMemory {
    let function: UInt64
    let content: PatchMemoryContent
    private let pages: UnsafeMutableRawPointer
    private static let size = 0x4_0000

    init(_ name: String) throws {
        let pages = try #require(
            mmap(nil, Self.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
        self.pages = pages
        let start = UInt64(UInt(bitPattern: pages))
        // The old function lies in the first page, patch memory at the second multiple of 64 KiB, as it has to.
        function = start
        let address = (start + 0x1_ffff) & ~0xffff
        let old = (0..<40).map { UInt8($0 + 1) }
        let patch = Patch(
            identifier: name,
            target: Target(
                buildID: Samples.buildID("a"), name: "liba.so", package: "liba", packageVersion: "1", machine: 62),
            provenance: Provenance(
                cves: [name], partOf: "", source: "a", suite: "bookworm", vulnerableVersion: "1", fixedVersion: "2",
                reasons: [], inputs: []),
            verdict: .automatic,
            entries: [
                Entry(
                    name: "f", address: 0x1000, expected: old, masked: [], prologue: [5], replacement: 0,
                    replacementSize: 32, gate: Gate(offset: 32, size: 32, original: 52))
            ],
            image: Image(
                code: [UInt8](repeating: 0xcc, count: 64), constants: [UInt8](repeating: 0, count: 8),
                unwind: [0, 0, 0, 0], relocations: []),
            symbols: [], requires: [])
        let request = MemberRequest(patch: patch, digest: Samples.digest(name), loadBias: start - 0x1000)
        content = try PatchMemory.content(
            of: request, at: address, members: [address], verdict: .automatic,
            transaction: MemberRequest.transaction(of: [request], sha256: sha256), sha256: sha256)
        write(old, at: function)
        write(content.bytes, at: address)
    }

    deinit { munmap(pages, Self.size) }

    func write(_ bytes: [UInt8], at address: UInt64) {
        mprotect(pages, Self.size, PROT_READ | PROT_WRITE)
        pages.advanced(by: Int(address - function)).copyMemory(from: bytes, byteCount: bytes.count)
        mprotect(pages, Self.size, PROT_READ | PROT_EXEC)
    }

    /// What is found of it.
    func found() throws -> [ObservedPatch] {
        let process = try ProcessHandle(pid: getpid())
        return PatchMemoryFinder(sha256: sha256).patches(in: process, mappings: try process.mappings())
            .filter { $0.memory.address == content.memory.address }
    }

    func makeWritable() { mprotect(pages, Self.size, PROT_READ | PROT_WRITE | PROT_EXEC) }
}

@Suite("Finding live patches in a process", .serialized)
struct PatchMemoryFinderTests {
    @Test("every step of apply and undo is told from memory alone")
    func steps() throws {
        let own = try OwnMemory("CVE-2026-1")
        let memory = own.content.memory
        let entry = try #require(memory.entries.first)
        let word = { (value: UInt8) in [value] + [UInt8](repeating: 0, count: 7) }
        func states() throws -> [TransactionState] { try own.found().map(\.state) }

        #expect(try states() == [.prepared])
        own.write(try entry.jumpToGate(), at: entry.address)
        #expect(try states() == [.halfGated])
        own.write(word(1), at: memory.stateAddress)
        #expect(try states() == [.committed])
        own.write(try entry.jumpToReplacement(), at: entry.address)
        #expect(try states() == [.applied])
        #expect(try own.found().map(\.memory.labels.identifier) == ["CVE-2026-1"])
        own.write(word(0), at: memory.stateAddress)
        own.write(entry.overwrittenOriginal, at: entry.address)
        own.write(word(1), at: memory.historyAddress)
        #expect(try states() == [.undone])
        own.write([0xeb, 0xfe], at: entry.address)
        #expect(try states() == [.altered])
    }

    @Test("a damaged header is not believed, nor memory that the process can write")
    func damaged() throws {
        let own = try OwnMemory("CVE-2026-2")
        let address = own.content.memory.address
        for offset in [0, 9, 60, 100, 200, 300] {
            let byte = own.content.bytes[offset]
            own.write([byte ^ 1], at: address + UInt64(offset))
            #expect(try own.found().isEmpty, "byte \(offset)")
            own.write([byte], at: address + UInt64(offset))
        }
        #expect(try own.found().count == 1)
        own.makeWritable()
        #expect(try own.found().isEmpty)
    }

    @Test("a transaction that lacks a member is altered")
    func missingMember() throws {
        let own = try OwnMemory("CVE-2026-3")
        var memory = own.content.memory
        memory.members.append(memory.address + 0x1_0000)
        let size = try memory.encodedHeaderSize()
        // Only if the second address fits into the header's padding does the image stay where it was.
        try #require(size == Int(memory.headerSize))
        own.write(try memory.encoded(sha256: sha256), at: memory.address)
        #expect(try own.found().map(\.state) == [.altered])
    }
}
