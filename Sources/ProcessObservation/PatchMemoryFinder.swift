//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
package import PatchPlan
package import ProcessInspection

/// Finds live patches in a process from its own memory, without files and without any state of ours.
package struct PatchMemoryFinder: Sendable {
    private let sha256: Digester

    /// Makes a finder.
    /// - Parameter sha256: The digest that headers are checked with.
    package init(sha256: Digester) {
        self.sha256 = sha256
    }

    /// All live patches of a process, by target and identifier.
    ///
    /// Memory that only looks like patch memory (a wrong checksum, fields that cannot be) is left out: nobody
    /// vouches for it, and a process may hold what it likes.
    /// - Parameters:
    ///   - process: The process; it is read, never stopped.
    ///   - mappings: Its mappings.
    package func patches(in process: borrowing ProcessHandle, mappings: [Mapping]) -> [ObservedPatch] {
        var memories: [UInt64: PatchMemory] = [:]
        for mapping in mappings where Self.mayHold(mapping) {
            for address in Self.places(in: mapping) {
                if let memory = memory(at: address, in: process) { memories[address] = memory }
            }
        }
        var patches: [ObservedPatch] = []
        for memory in memories.values {
            let members = memory.members.compactMap { memories[$0] }
            let isWhole =
                members.count == memory.members.count
                && members.allSatisfy { $0.transaction == memory.transaction && $0.members == memory.members }
            let state = isWhole ? state(of: members, in: process) : .altered
            patches.append(ObservedPatch(memory: memory, state: state))
        }
        return patches.sorted { Self.order($0.memory) < Self.order($1.memory) }
    }

    /// Patch memory is private, anonymous, and can be read and executed but not written.
    private static func mayHold(_ mapping: Mapping) -> Bool {
        mapping.isReadable && mapping.isExecutable && !mapping.isWritable && !mapping.isShared && mapping.isAnonymous
    }

    /// Where patch memory may begin: at multiples of 64 KiB. The kernel may have joined neighbours to one mapping.
    private static func places(in mapping: Mapping) -> StrideTo<UInt64> {
        let (rounded, overflow) = mapping.range.lowerBound.addingReportingOverflow(0xffff)
        let end = mapping.range.upperBound
        return stride(from: overflow ? end : min(rounded & ~0xffff, end), to: end, by: 0x1_0000)
    }

    private func memory(at address: UInt64, in process: borrowing ProcessHandle) -> PatchMemory? {
        let prefix = process.readAvailable(address, count: 16)
        guard prefix.count == 16, let size = try? PatchMemory.headerSize(prefix: prefix) else { return nil }
        let header = process.readAvailable(address, count: size)
        return try? PatchMemory(decoding: header, at: address, sha256: sha256)
    }

    /// What the memory of the whole transaction says. A process that ends meanwhile reads as `altered`, and
    /// is found to have ended by whoever asks next.
    private func state(of members: [PatchMemory], in process: borrowing ProcessHandle) -> TransactionState {
        guard let first = members.first, let stateWord = word(at: first.stateAddress, in: process),
            let historyWord = word(at: first.historyAddress, in: process)
        else { return .altered }
        let entries = members.flatMap(\.entries).map { entry in
            process.readAvailable(entry.address, count: entry.original.count)
        }
        let fixUps = members.flatMap(\.fixUps).map { fixUp in
            process.readAvailable(fixUp.address, count: fixUp.size.count)
        }
        return FoundTransaction(
            members: members, stateWord: stateWord, historyWord: historyWord, entryBytes: entries, fixUpBytes: fixUps
        ).state
    }

    private func word(at address: UInt64, in process: borrowing ProcessHandle) -> UInt64? {
        let bytes = process.readAvailable(address, count: 8)
        guard bytes.count == 8 else { return nil }
        return bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func order(_ memory: PatchMemory) -> (String, String, UInt64) {
        (memory.labels.targetName, memory.labels.identifier, memory.address)
    }
}
