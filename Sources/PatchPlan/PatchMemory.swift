//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import LivePatch

/// The header of a patch memory: what the first bytes of the mapping that one live patch has in a process say.
///
/// It is all that is needed to find a patch again, to verify it and to take it out, without a file and without
/// any state outside the process. Documentation/patch-memory.md specifies it byte by byte.
package struct PatchMemory: Sendable, Equatable {
    /// Address of the header's first byte: where the mapping starts.
    package var address: UInt64
    /// SHA-256 of the live patch's file.
    package var patchDigest: [UInt8]
    /// Names the transaction: digest over the sorted patch digests and load biases of its members.
    package var transaction: [UInt8]
    /// Addresses of all members' patch memories, in the transaction's order; the first one's state word counts.
    package var members: [UInt64]
    /// The target's build-id.
    package var buildID: [UInt8]
    /// What is added to a target-relative address in this process.
    package var loadBias: UInt64
    /// The consistency that applying and undoing needs.
    package var verdict: Verdict
    /// `e_machine` of the target.
    package var machine: UInt16
    /// Size of the header in bytes; the image begins there.
    package var headerSize: UInt32
    /// Size of the image's code in bytes.
    package var codeSize: UInt32
    /// Offset in the image of the state-pointer slot and the other constants.
    package var constantsOffset: UInt32
    /// Offset in the image of the unwind rules.
    package var unwindOffset: UInt32
    /// Size of the image in bytes.
    package var imageSize: UInt32
    /// SHA-256 of the image as it lies in memory.
    package var imageDigest: [UInt8]
    /// The functions that are replaced, sorted by address.
    package var entries: [PlacedEntry]
    /// The data that are set, in the order in which they are written.
    package var fixUps: [PlacedFixUp] = []
    /// Names for people.
    package var labels: Labels

    /// What a patch memory says for people, and to other patches.
    package struct Labels: Sendable, Equatable {
        /// The patch's name.
        package var identifier: String
        /// The target's name.
        package var targetName: String
        /// Binary package of the target.
        package var package: String
        /// Version of that package.
        package var packageVersion: String
        /// What is fixed.
        package var cves: [String]
        /// What part of the fix this is, empty for all of it.
        package var partOf: String
        /// Identifiers of the patches that this one needs.
        package var requires: [String]

        /// Makes labels of their parts.
        package init(
            identifier: String, targetName: String, package: String, packageVersion: String, cves: [String],
            partOf: String, requires: [String]
        ) {
            self.identifier = identifier
            self.targetName = targetName
            self.package = package
            self.packageVersion = packageVersion
            self.cves = cves
            self.partOf = partOf
            self.requires = requires
        }
    }

    /// Largest size of header and image together, in bytes.
    package static var maximumSize: Int { 16 * 1024 }
    /// Largest size of all old functions of one patch together, in bytes; a patch file is no larger.
    package static var maximumFunctionSize: Int { 1 << 20 }
    /// Offset of the state word in the header.
    package static var stateOffset: UInt64 { 24 }
    /// Offset in the header of the history word: not 0 once an entry may have led into patch memory.
    package static var historyOffset: UInt64 { 32 }

    /// Address of the transaction's state word.
    package var stateAddress: UInt64 { (members.first ?? address) &+ Self.stateOffset }
    /// Address of the transaction's history word.
    package var historyAddress: UInt64 { (members.first ?? address) &+ Self.historyOffset }
    /// Address of the image's first byte.
    package var imageAddress: UInt64 { address &+ UInt64(headerSize) }
    /// Size of header and image in bytes.
    package var size: Int { Int(headerSize) + Int(imageSize) }
    /// All addresses of header and image.
    package var range: AddressRange { AddressRange(lower: address, upper: address &+ UInt64(size)) }
}

/// One replaced function, with everything as run-time addresses.
package struct PlacedEntry: Sendable, Equatable {
    /// The function's name.
    package var name: String
    /// Address of the old function's first byte.
    package var address: UInt64
    /// Size of the old function in bytes.
    package var size: UInt32
    /// The old function's first bytes: 16, or all of it where it is shorter.
    package var original: [UInt8]
    /// SHA-256 of the old function, masked bytes as zeros.
    package var expectedDigest: [UInt8]
    /// Ranges of the old function that the dynamic linker writes.
    package var masked: [MaskedRange]
    /// Address range of the new function.
    package var replacement: AddressRange
    /// Address range of the gate, nil where there is none.
    package var gate: AddressRange?
    /// Address of the gate's relocated prologue, 0 where there is no gate.
    package var gateOriginal: UInt64

    /// The bytes of the old function that a jump overwrites, as addresses where no thread may go on:
    /// everything in the jump but its first byte.
    package var overwritten: AddressRange {
        AddressRange(lower: address &+ 1, upper: address &+ UInt64(Entry.overwrittenSize))
    }

    /// How many bytes at the entry are compared and kept.
    package static var originalSize: Int { 16 }
}
