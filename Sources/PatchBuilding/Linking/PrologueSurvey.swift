//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import LivePatch
package import MachineCode

/// Every function of a shipped binary, looked at as `EntryBuilder` looks at one that a fix changes: its
/// instructions, and whether its prologue can be moved into a gate.
///
/// What only the rebuilt objects show (jump tables, resolvers, hand-written code) is not part of it.
package struct PrologueSurvey: Sendable {
    /// Why a function cannot have a gate.
    package enum Refusal: String, Sendable, CaseIterable {
        /// The file does not hold the bytes that the unwind rules cover.
        case notInFile = "not-in-file"
        /// Fewer bytes than a jump has.
        case tooShort = "too-short"
        /// Bytes that are no instructions: data between code.
        case undecodable = "undecodable"
        /// The dynamic linker writes into the prologue.
        case writtenByDynamicLinker = "written-by-dynamic-linker"
        /// A branch of another function leads into the bytes that the jump overwrites.
        case branchFromOutside = "branch-from-outside"
        /// A branch of the function itself does.
        case branchIntoEntry = "branch-into-entry"
        /// A branch of the function leads to its first byte.
        case branchToEntry = "branch-to-entry"
        /// A call returns into the bytes that the jump overwrites.
        case returnIntoEntry = "return-into-entry"
        /// An instruction of the prologue cannot be moved.
        case notRelocatable = "not-relocatable"
    }

    /// What was found of one function.
    package enum Outcome: Sendable {
        /// Its prologue, rewritten.
        case relocated(PrologueRelocation)
        /// Why there is none; the sentence tells the kinds of `notRelocatable` apart.
        case refused(Refusal, String)
    }

    /// One function: what one FDE covers.
    package struct Function: Sendable {
        /// Target-relative address of its first byte.
        package let address: UInt64
        /// Its bytes.
        package let bytes: [UInt8]
        /// Lengths of its instructions in order, up to `undecodable` or to its end.
        package let lengths: [UInt8]
        /// Offset of the first byte that is no instruction, nil if all are.
        package let undecodable: Int?
        /// How many of the instructions a jump over the entry touches.
        package let prologueCount: Int
        /// What was found.
        package fileprivate(set) var outcome: Outcome
    }

    /// By address, ascending.
    package private(set) var functions: [Function] = []
    /// From the target's first address to one behind its last.
    package let addresses: Range<UInt64>

    /// Surveys a file.
    ///
    /// - Parameter shipped: the whole file as the distribution ships it, stripped or not.
    /// - Throws: `PatchBuildingError` (`unsuitableTarget`) where the file is none that patches are built for.
    package init(shipped: [UInt8]) throws(PatchBuildingError) {
        let binary = try ShippedBinary(shipped)
        var decoder = InstructionDecoder()
        var jumps: [(from: Int, to: UInt64)] = []
        var end: UInt64 = 0
        for section in binary.sections { end = max(end, UInt64(section.address) + UInt64(section.size)) }
        addresses = 0..<end
        for range in binary.functions.sorted(by: { ($0.start, $0.size) < ($1.start, $1.size) }) {
            let address = UInt64(range.start)
            guard let bytes = binary.contents(range.start, count: range.size).map({ [UInt8]($0) }) else {
                functions.append(
                    Function(
                        address: address, bytes: [], lengths: [], undecodable: nil, prologueCount: 0,
                        outcome: .refused(.notInFile, "The file does not hold all of the function.")))
                continue
            }
            let code = EntryCode(bytes, at: address, decoder: &decoder)
            for destination in code.decoded.jumps { jumps.append((functions.count, destination)) }
            functions.append(
                Function(
                    address: address, bytes: bytes, lengths: code.decoded.shapes.map(\.length),
                    undecodable: code.decoded.undecodable, prologueCount: code.prologue.count,
                    outcome: Self.outcome(of: code, size: bytes.count, start: range.start, in: binary)))
        }
        for jump in jumps {
            guard let index = entry(overwrittenAt: jump.to), index != jump.from,
                case .relocated = functions[index].outcome
            else { continue }
            functions[index].outcome = .refused(
                .branchFromOutside, "A branch of another function leads into the bytes that the jump overwrites.")
        }
    }

    private static func outcome(of code: EntryCode, size: Int, start: Int, in binary: ShippedBinary) -> Outcome {
        if size < Entry.overwrittenSize { return .refused(.tooShort, "The function is shorter than a jump.") }
        if code.decoded.undecodable != nil {
            return .refused(.undecodable, "The function holds bytes that are no instructions.")
        }
        if code.branchesToEntry { return .refused(.branchToEntry, "The function jumps back to its own first byte.") }
        if code.returnsIntoEntry { return .refused(.returnIntoEntry, "A call returns into the first bytes.") }
        switch code.relocation {
        case .failure(let error):
            return .refused(error.code == .branchIntoEntry ? .branchIntoEntry : .notRelocatable, error.reason)
        case .success(let relocation):
            guard binary.relocations(in: start..<(start + code.prologueSize)).isEmpty else {
                return .refused(.writtenByDynamicLinker, "The dynamic linker writes into the first bytes.")
            }
            return .relocated(relocation)
        }
    }

    /// The function whose bytes 1 to 4 an address is one of.
    private func entry(overwrittenAt address: UInt64) -> Int? {
        var low = 0
        var high = functions.count
        // The last function that starts before the address.
        while low < high {
            let middle = (low + high) / 2
            if functions[middle].address < address { low = middle + 1 } else { high = middle }
        }
        guard low > 0, address - functions[low - 1].address < UInt64(Entry.overwrittenSize) else { return nil }
        return low - 1
    }
}
