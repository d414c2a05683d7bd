//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A datum of the target that is set while the process stands still, because the author of the recipe says that it
/// must be: no machine can know what running code has made of it.
///
/// It is written before the functions switch and taken back after they have switched back: so old functions may meet
/// the new value, alone or with any number of the fix-ups before it, and new functions never the old one. That old
/// functions are safe with it is what the author's sentence says.
package struct FixUp: Sendable, Equatable {
    /// How many bytes are set, by one aligned store.
    package enum Size: UInt8, Sendable, CaseIterable {
        case one = 1
        case two = 2
        case four = 4
        case eight = 8

        /// The number of bytes.
        package var count: Int { Int(rawValue) }

        /// Whether a number can be held.
        package func holds(_ number: UInt64) -> Bool { self == .eight || number >> (8 * UInt64(rawValue)) == 0 }
    }

    /// What the bytes are.
    package enum Value: Sendable, Equatable {
        /// A number, little-endian.
        case number(UInt64)
        /// The address that a place has in the process.
        case address(Relocation.Destination)
    }

    /// What is set: a name and, if it is not its first byte, an offset (`methods+8`). For people.
    package var name: String
    /// Target-relative address of the first byte; a multiple of the size.
    package var address: UInt64
    /// How many bytes.
    package var size: Size
    /// What must be there before; never an address in the image.
    package var from: Value
    /// What is there afterwards.
    package var to: Value
    /// Why old functions are safe with it, in the author's words.
    package var because: String

    /// Makes a fix-up of its parts.
    package init(name: String, address: UInt64, size: Size, from: Value, to: Value, because: String) {
        self.name = name
        self.address = address
        self.size = size
        self.from = from
        self.to = to
        self.because = because
    }
}

extension Patch {
    /// Checks the fix-ups.
    ///
    /// - Throws: `PatchFormatError`.
    func validateFixUps() throws(PatchFormatError) {
        guard fixUps.count <= PatchFormat.maximumFixUps else {
            throw PatchFormatError(
                .tooLarge, "\(fixUps.count) fix-ups; the format allows \(PatchFormat.maximumFixUps)")
        }
        guard fixUps.isEmpty || verdict == .quiescent else {
            throw PatchFormatError(.inconsistent, "the patch sets data and does not ask for quiescence")
        }
        for (index, fixUp) in fixUps.enumerated() {
            try fixUp.validate(in: image)
            let end = fixUp.address + UInt64(fixUp.size.count)
            let overlaps =
                fixUps[..<index].contains { $0.address < end && fixUp.address < $0.address + UInt64($0.size.count) }
                || entries.contains { $0.address < end && fixUp.address < $0.address + UInt64($0.expected.count) }
            guard !overlaps else {
                throw PatchFormatError(.inconsistent, "\(fixUp.name) overlaps another fix-up or a function")
            }
        }
    }
}

extension FixUp {
    fileprivate func validate(in image: Image) throws(PatchFormatError) {
        func wrong(_ what: String) -> PatchFormatError {
            PatchFormatError(.inconsistent, "the fix-up of \(name) \(what)")
        }
        guard !name.isEmpty, !because.isEmpty else { throw wrong("says nothing") }
        guard address < PatchFormat.addressLimit, address % UInt64(size.rawValue) == 0 else {
            throw wrong("lies behind the address space, or is not aligned")
        }
        guard from != to else { throw wrong("changes nothing") }
        for value in [from, to] {
            switch value {
            case .number(let number):
                guard size.holds(number) else { throw wrong("has a number of more than \(size.rawValue) bytes") }
            case .address(.target(let address)):
                guard size == .eight, address < PatchFormat.addressLimit else { throw wrong("has no possible address") }
            case .address(.image(let offset)):
                guard size == .eight, value == to, Int(offset) < image.code.count else {
                    throw wrong("names what is no code of the image, or was there before it")
                }
            }
        }
    }
}
