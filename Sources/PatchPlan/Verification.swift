//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import MachineCode

/// One place where a process's memory is not what it must be.
package struct Difference: Sendable, Equatable {
    /// Stable names of the kinds; they are part of the JSON interface.
    package enum Kind: String, Sendable {
        /// The first bytes of an old function hold neither the original nor one of our jumps.
        case entryAltered = "entry-altered"
        /// The rest of an old function is not what the patch was built against.
        case functionAltered = "function-altered"
        /// A datum that the patch sets holds neither what it sets nor what was there before.
        case dataAltered = "data-altered"
        /// The image is not what was written.
        case imageAltered = "image-altered"
        /// Nothing of it is in effect.
        case notApplied = "not-applied"
        /// The transaction is half-way.
        case incomplete
        /// The patch in the process is not the file's.
        case otherPatch = "other-patch"
        /// Patch memory that cannot be read.
        case memoryMissing = "memory-missing"
    }

    /// What it is.
    package var kind: Kind
    /// Identifier of the patch.
    package var identifier: String
    /// The function, empty where it is none.
    package var function: String
    /// First address concerned.
    package var address: UInt64
    /// A sentence for a person.
    package var sentence: String

    /// Makes a difference.
    package init(_ kind: Kind, identifier: String, function: String, address: UInt64, _ sentence: String) {
        self.kind = kind
        self.identifier = identifier
        self.function = function
        self.address = address
        self.sentence = sentence
    }
}

extension FoundTransaction {
    /// Compares what was read with what must be there; empty if everything is as it must be.
    ///
    /// - Parameters:
    ///   - images: the images of the members as they are in memory, in the members' order.
    ///   - functions: the old functions as they are in memory, in the order of `entries`.
    ///   - sha256: the digest.
    package func differences(images: [[UInt8]], functions: [[UInt8]], sha256: Digester) -> [Difference] {
        var differences: [Difference] = []
        var index = 0
        let states = entryStates
        for (number, member) in members.enumerated() {
            let name = member.labels.identifier
            let image = number < images.count ? images[number] : []
            if image.count != Int(member.imageSize) || sha256(image) != member.imageDigest
                || image.word(at: Int(member.constantsOffset)) != member.stateAddress
            {
                differences.append(
                    Difference(
                        .imageAltered, identifier: name, function: "", address: member.imageAddress,
                        "The image of \(name) is not what was written."))
            }
            for entry in member.entries {
                let state = index < states.count ? states[index] : .other
                var function = index < functions.count ? functions[index] : []
                index += 1
                if state == .other {
                    differences.append(
                        Difference(
                            .entryAltered, identifier: name, function: entry.name, address: entry.address,
                            "The first bytes of \(entry.name) were changed by someone else."))
                }
                for place in 0..<Swift.min(entry.original.count, function.count, Jump.size) {
                    function[place] = entry.original[place]
                }
                if function.count != Int(entry.size) || sha256(function.masking(entry.masked)) != entry.expectedDigest {
                    differences.append(
                        Difference(
                            .functionAltered, identifier: name, function: entry.name, address: entry.address,
                            "The old function \(entry.name) is not what \(name) was built against."))
                }
            }
        }
        for (fixUp, bytes) in zip(fixUps, fixUpBytes) where state == .altered && fixUp.state(of: bytes) == .other {
            let owner = members.first { $0.fixUps.contains(fixUp) }
            differences.append(
                Difference(
                    .dataAltered, identifier: owner?.labels.identifier ?? "", function: fixUp.name,
                    address: fixUp.address, fixUp.mismatch(bytes).sentence))
        }
        if !state.isSettled, state != .altered {
            let first = members.first
            differences.append(
                Difference(
                    .incomplete, identifier: first?.labels.identifier ?? "", function: "",
                    address: first?.stateAddress ?? 0, "The transaction is half-way (\(state.rawValue))."))
        }
        return differences
    }
}
