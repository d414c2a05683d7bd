//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import LivePatch

/// A datum that a patch sets, with everything as run-time addresses and numbers.
package struct PlacedFixUp: Sendable, Equatable {
    /// What the bytes are found to be.
    package enum State: Sendable, Equatable {
        /// What was there before the patch.
        case from
        /// What the patch sets.
        case to
        /// Anything else.
        case other
    }

    /// What is set. For people.
    package var name: String
    /// Address of its first byte.
    package var address: UInt64
    /// How many bytes.
    package var size: FixUp.Size
    /// What is there without the patch, little-endian in `size` bytes.
    package var from: UInt64
    /// What is there with it.
    package var to: UInt64

    /// Makes a fix-up of its parts.
    package init(name: String, address: UInt64, size: FixUp.Size, from: UInt64, to: UInt64) {
        self.name = name
        self.address = address
        self.size = size
        self.from = from
        self.to = to
    }

    /// Places a fix-up of a patch.
    ///
    /// - Parameters:
    ///   - fixUp: the fix-up.
    ///   - loadBias: what is added to target-relative addresses.
    ///   - imageAddress: address of the image's first byte.
    init(_ fixUp: FixUp, loadBias: UInt64, imageAddress: UInt64) {
        func number(_ value: FixUp.Value) -> UInt64 {
            switch value {
            case .number(let number): number
            case .address(.target(let address)): address &+ loadBias
            case .address(.image(let offset)): imageAddress &+ UInt64(offset)
            }
        }
        self.init(
            name: fixUp.name, address: fixUp.address &+ loadBias, size: fixUp.size, from: number(fixUp.from),
            to: number(fixUp.to))
    }

    /// The addresses that are set. They never run past the end of the address space: aligned to their size.
    package var range: AddressRange { AddressRange(lower: address, upper: address &+ UInt64(size.count)) }

    /// The bytes of a value.
    package func bytes(_ value: UInt64) -> [UInt8] {
        (0..<size.count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }

    /// What bytes from the process are.
    package func state(of found: [UInt8]) -> State {
        if found == bytes(from) { return .from }
        return found == bytes(to) ? .to : .other
    }

    /// Why nothing is done where the bytes are something else.
    ///
    /// - Parameters:
    ///   - found: the bytes.
    ///   - isPlaced: whether the image has its place, so that all of `to` is known.
    package func mismatch(_ found: [UInt8], isPlaced: Bool = true) -> Refusal {
        let value = found.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let hexadecimal = { (number: UInt64) in "0x" + String(number, radix: 16) }
        let now = found.count == size.count ? hexadecimal(value) : "unreadable"
        let wanted = hexadecimal(from) + (isPlaced ? " without the patch and \(hexadecimal(to)) with it" : "")
        return Refusal(
            .fixupMismatch, "\(name) at \(hexadecimal(address)) is \(now), and should be \(wanted).",
            remedy: "Restart the process with the fixed package.")
    }
}

extension MemberRequest {
    /// What the patch sets, placed for a look before there is an image: `to` counts only where it is no address in it.
    package var unplacedFixUps: [PlacedFixUp] {
        patch.fixUps.map { PlacedFixUp($0, loadBias: loadBias, imageAddress: 0) }
    }

    /// Checks what needs no process: each fix-up is one aligned store, and apart from all others.
    ///
    /// - Parameter others: the fix-ups of the members before this one.
    /// - Throws: `Refusal` (`imageInvalid`).
    func checkFixUps(apartFrom others: [PlacedFixUp]) throws(Refusal) {
        func invalid(_ what: String) -> Refusal {
            Refusal(.imageInvalid, "\(patch.identifier) cannot be used: \(what).", remedy: "Build the patch again.")
        }
        guard patch.fixUps.count <= PatchFormat.maximumFixUps, patch.fixUps.isEmpty || patch.verdict == .quiescent
        else {
            throw invalid("it sets too many data, or does not ask for quiescence")
        }
        let placed = unplacedFixUps
        for (index, fixUp) in placed.enumerated() {
            let (_, overflow) = patch.fixUps[index].address.addingReportingOverflow(loadBias)
            guard !overflow, fixUp.address % UInt64(fixUp.size.count) == 0 else {
                throw invalid("\(fixUp.name) has no possible address")
            }
            guard !(others + placed[..<index]).contains(where: { $0.range.overlaps(fixUp.range) }) else {
                throw invalid("\(fixUp.name) is set twice")
            }
        }
    }
}
