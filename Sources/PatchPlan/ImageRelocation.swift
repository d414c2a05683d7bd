//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import LivePatch

extension Image {
    /// The image as it lies in memory: parts in their places, relocations added, state pointer filled in.
    ///
    /// - Parameters:
    ///   - address: address of the image's first byte; a multiple of 16.
    ///   - loadBias: what is added to target-relative addresses.
    ///   - stateAddress: address of the transaction's state word.
    /// - Throws: `Refusal`: `imageInvalid` for a relocation that does not lie in the image, `noRoomWithinReach` for
    ///   one that does not reach (System V psABI AMD64, section 4.4: `R_X86_64_PC32` is signed).
    package func relocated(
        at address: UInt64, loadBias: UInt64, stateAddress: UInt64
    ) throws(Refusal) -> [UInt8] {
        var bytes = code
        while bytes.count < constantsOffset { bytes.append(0) }
        bytes.append(contentsOf: constants)
        while bytes.count < unwindOffset { bytes.append(0) }
        bytes.append(contentsOf: unwind)
        guard constants.count >= 8, address % UInt64(Self.alignment) == 0 else {
            throw Self.invalid("it has no state-pointer slot, or lies unaligned")
        }
        bytes.put(stateAddress, at: constantsOffset)
        for relocation in relocations {
            let offset = Int(relocation.offset)
            let size = relocation.kind == .relative32 ? 4 : 8
            guard offset <= bytes.count - size else { throw Self.invalid("a relocation lies outside of it") }
            guard offset + size <= constantsOffset || offset >= constantsOffset + 8 else {
                throw Self.invalid("a relocation changes the state-pointer slot")
            }
            let destination: UInt64
            switch relocation.destination {
            case .target(let relative): destination = loadBias &+ relative
            case .image(let inside):
                guard Int(inside) <= bytes.count else { throw Self.invalid("a relocation points outside of it") }
                destination = address &+ UInt64(inside)
            }
            let value = destination &+ UInt64(bitPattern: relocation.addend)
            switch relocation.kind {
            case .absolute64:
                bytes.put(value, at: offset)
            case .relative32:
                let distance = Int64(bitPattern: value &- (address &+ UInt64(offset)))
                guard let short = Int32(exactly: distance) else {
                    throw Refusal(
                        .noRoomWithinReach, "The patch memory lies too far from what the new code refers to.",
                        remedy: "Restart the process, or free address space near the library.")
                }
                bytes.put(short, at: offset)
            }
        }
        return bytes
    }

    private static func invalid(_ what: String) -> Refusal {
        Refusal(.imageInvalid, "The patch's image cannot be used: \(what).", remedy: "Build the patch again.")
    }
}
