//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import MachineCode
import PatchPlan
import ProcessInspection

/// What one look at a process tells about live patches in it.
struct ProcessSurvey {
    /// Most places that are looked at: 4 GiB of anonymous executable memory.
    private static let placeLimit = 65536

    /// Most patch memories that are read.
    private static let memoryLimit = 1024

    /// An object and where it lies.
    private struct Target: Hashable {
        var buildID: [UInt8]
        var loadBias: UInt64
    }
    private var loaded: Set<Target> = []

    /// All mappings.
    var mappings: [Mapping]
    /// Headers that were found whole, with the bytes of header and image, by address.
    var memories: [UInt64: (memory: PatchMemory, bytes: [UInt8])] = [:]
    /// Mappings of ours that were never filled, by address.
    var unfinished: [UInt64: AddressRange] = [:]
    /// Addresses where a header lies that cannot be trusted, with the reason.
    var invalid: [(address: UInt64, error: PatchMemoryError)] = []
    /// Transactions whose patch memories were all found; of their members those whose targets are still loaded where
    /// they were.
    var transactions: [FoundTransaction] = []

    /// Keeps the mappings and looks for nothing.
    init(onlyMappings mappings: [Mapping]) { self.mappings = mappings }

    /// Looks at a process.
    ///
    /// Three bulk reads, however many patches there are: the first words of what may be patch memory, then the
    /// patch memories, then the entries that they name.
    init(
        _ handle: borrowing ProcessHandle, mappings: [Mapping], objects: [LoadedObject], sha256: Digester
    ) {
        self.mappings = mappings
        loaded = Set(objects.map { Target(buildID: $0.buildID ?? [], loadBias: $0.loadBias) })
        var places: [AddressRange] = []
        for mapping in mappings where Self.mayHoldPatchMemory(mapping) {
            // Patch memories lie at multiples of 64 KiB; the kernel may have joined other mappings to them.
            var address = (mapping.range.lowerBound &+ 0xffff) & ~0xffff
            while address < mapping.range.upperBound, places.count < Self.placeLimit {
                places.append(AddressRange(lower: address, upper: mapping.range.upperBound))
                let (next, overflow) = address.addingReportingOverflow(0x1_0000)
                if overflow { break }
                address = next
            }
        }
        guard !places.isEmpty else { return }
        let prefixes = handle.read(places.map { $0.lower..<($0.lower &+ min(16, $0.size)) })
        var found: [AddressRange] = []
        var empty: [AddressRange] = []
        for (place, prefix) in zip(places, prefixes) {
            guard let first = prefix.word(at: 0) else { continue }
            if first == PatchMemory.fillingMagic {
                unfinished[place.lower] = place
            } else if first == 0, place.size <= UInt64(PatchMemory.maximumSize) {
                empty.append(place)
            } else if first == PatchMemory.magic, found.count < Self.memoryLimit {
                found.append(
                    AddressRange(
                        lower: place.lower, upper: min(place.upper, place.lower &+ UInt64(PatchMemory.maximumSize))))
            }
        }
        // The filling magic is written first, so what was mapped and not filled is all zeros; anything else that
        // begins with zeros belongs to the process (a JIT compiler's code, say).
        for (place, content) in zip(empty, handle.read(empty.map { $0.lower..<$0.upper }))
        where UInt64(content.count) == place.size && content.allSatisfy({ $0 == 0 }) {
            unfinished[place.lower] = place
        }
        let contents = found.isEmpty ? [] : handle.read(found.map { $0.lower..<$0.upper })
        for (place, content) in zip(found, contents) {
            do throws(PatchMemoryError) {
                let size = try PatchMemory.headerSize(prefix: content)
                guard size <= content.count else { throw PatchMemoryError(.truncated, "The header ends early.") }
                let memory = try PatchMemory(decoding: Array(content[..<size]), at: place.lower, sha256: sha256)
                guard memory.size <= content.count else { throw PatchMemoryError(.truncated, "The image ends early.") }
                memories[place.lower] = (memory, Array(content[..<memory.size]))
            } catch {
                invalid.append((place.lower, error))
            }
        }
        findTransactions(handle)
    }

    /// Anonymous, private, read-execute: what we map and nothing ordinary is.
    static func mayHoldPatchMemory(_ mapping: Mapping) -> Bool {
        mapping.isAnonymous && mapping.isExecutable && mapping.isReadable && !mapping.isWritable && !mapping.isShared
    }

    private func isLoaded(_ memory: PatchMemory) -> Bool {
        loaded.contains(Target(buildID: memory.buildID, loadBias: memory.loadBias))
    }

    private mutating func findTransactions(_ handle: borrowing ProcessHandle) {
        var complete: [[PatchMemory]] = []
        for address in memories.keys.sorted() {
            guard let memory = memories[address]?.memory, memory.members.first == address else { continue }
            var members: [PatchMemory] = []
            for member in memory.members {
                guard let other = memories[member]?.memory, other.transaction == memory.transaction,
                    other.members == memory.members
                else { break }
                members.append(other)
            }
            guard members.count == memory.members.count else { continue }
            // What was unloaded took its jumps with it: only the rest can be, and has to be, switched.
            members.removeAll { !isLoaded($0) }
            if !members.isEmpty { complete.append(members) }
        }
        let entries = complete.flatMap { $0.flatMap(\.entries) }
        let fixUps = complete.flatMap { $0.flatMap(\.fixUps) }
        guard !entries.isEmpty else { return }
        let bytes = handle.read(
            entries.map { $0.address..<($0.address &+ UInt64($0.original.count)) }
                + fixUps.map { $0.range.lower..<$0.range.upper })
        var index = 0
        var datum = min(entries.count, bytes.count)
        for members in complete {
            let count = members.reduce(0) { $0 + $1.entries.count }
            let end = min(index + count, bytes.count)
            let dataEnd = min(datum + members.reduce(0) { $0 + $1.fixUps.count }, bytes.count)
            let words = members.first?.members.first.flatMap { memories[$0]?.bytes } ?? []
            transactions.append(
                FoundTransaction(
                    members: members, stateWord: words.word(at: Int(PatchMemory.stateOffset)) ?? .max,
                    historyWord: words.word(at: Int(PatchMemory.historyOffset)) ?? .max,
                    entryBytes: Array(bytes[min(index, end)..<end]),
                    fixUpBytes: Array(bytes[datum..<dataEnd])))
            index = end
            datum = dataEnd
        }
        transactions = transactions.withoutSuperseded
    }

    /// The mapping that holds an address.
    func mapping(at address: UInt64) -> Mapping? {
        var low = 0
        var high = mappings.count
        while low < high {
            let middle = (low + high) / 2
            if mappings[middle].range.upperBound > address { high = middle } else { low = middle + 1 }
        }
        guard low < mappings.count, mappings[low].range.contains(address) else { return nil }
        return mappings[low]
    }

    /// The transaction that a patch memory belongs to.
    func transaction(containing address: UInt64) -> FoundTransaction? {
        transactions.first { $0.members.contains { $0.range.contains(address) } }
    }

    /// Identifiers of the patches whose new functions the process runs.
    var appliedIdentifiers: Set<String> {
        var names: Set<String> = []
        for transaction in transactions where transaction.state.isNew {
            for member in transaction.members { names.insert(member.labels.identifier) }
        }
        return names
    }
}
