//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Commands
package import LivePatch
package import StrictJSON

// What `build` and `inspect` say of data that a patch sets.
extension FixUp {
    /// The members of `fixups`.
    package var json: JSONValue {
        [
            "name": .string(name), "address": .string(address.hexadecimal), "size": .integer(size.count),
            "from": from.json, "to": to.json, "because": .string(because),
        ]
    }

    /// The same for people, without the sentence.
    package var line: String {
        "\(name), \(size.count) byte\(size == .one ? "" : "s") at \(address.hexadecimal), from \(from.word) to \(to.word)"
    }
}

extension FixUp.Value {
    fileprivate var json: JSONValue {
        switch self {
        case .number(let number): ["in": "number", "value": .string(number.hexadecimal)]
        case .address(let place): ["in": .string(place.space), "value": .string(place.offset.hexadecimal)]
        }
    }

    fileprivate var word: String {
        switch self {
        case .number(let number): number.hexadecimal
        case .address(let place): "\(place.space) \(place.offset.hexadecimal)"
        }
    }
}

extension Relocation.Destination {
    /// Where it lies, as in JSON.
    package var space: String {
        switch self {
        case .target: "target"
        case .image: "image"
        }
    }

    /// Target-relative address, or offset in the image.
    package var offset: UInt64 {
        switch self {
        case .target(let address): address
        case .image(let offset): UInt64(offset)
        }
    }
}
