//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch
import Yams

extension Recipe {
    /// The data that the author sets.
    static func fixUps(_ root: StrictYAML.Fields) throws(PreparationError) -> [RequestedFixUp] {
        guard let list = root.optional("fixups") else { return [] }
        var fixUps: [RequestedFixUp] = []
        for node in try root.list(list) {
            let fields = try root.fields(node, keys: ["symbol", "offset", "size", "from", "to", "because"])
            let sizeNode = try fields.required("size")
            guard let number = UInt8(try fields.string(sizeNode)), let size = FixUp.Size(rawValue: number) else {
                throw fields.complaint(sizeNode, "1, 2, 4 or 8 bytes can be set at once")
            }
            let request = RequestedFixUp(
                symbol: try fields.sentence(try fields.required("symbol")), offset: try fields.offset(), size: size,
                from: try fields.value("from", size: size), to: try fields.value("to", size: size),
                because: try fields.sentence(try fields.required("because")), place: fields.place)
            guard request.from != request.to else { throw fields.complaint(node, "it changes nothing") }
            fixUps.append(request)
        }
        guard !fixUps.isEmpty else { throw root.complaint(list, "at least one fix-up is needed") }
        guard fixUps.count <= PatchFormat.maximumFixUps else {
            throw root.complaint(list, "a patch has at most \(PatchFormat.maximumFixUps) fix-ups")
        }
        return fixUps
    }
}

extension StrictYAML.Fields {
    /// The distance from a symbol in bytes; 0 if the key is not there.
    fileprivate func offset() throws(PreparationError) -> Int {
        guard let node = optional("offset") else { return 0 }
        guard let number = try Int(exactly: unsigned(node)) else { throw complaint(node, "the offset is too large") }
        return number
    }

    /// A number, or the address of a symbol.
    fileprivate func value(_ key: String, size: FixUp.Size) throws(PreparationError) -> RequestedFixUp.Value {
        let node = try required(key)
        guard case .mapping = node else {
            let number = try unsigned(node)
            guard size.holds(number) else { throw complaint(node, "the number needs more than \(size.count) bytes") }
            return .number(number)
        }
        guard size == .eight else { throw complaint(node, "an address has 8 bytes") }
        let fields = try fields(node, keys: ["symbol", "offset"])
        return .address(
            symbol: try fields.sentence(try fields.required("symbol")), offset: try fields.offset())
    }

    /// A number from 0, decimal or with `0x`.
    private func unsigned(_ node: Node) throws(PreparationError) -> UInt64 {
        let text = try string(node)
        let isHexadecimal = text.hasPrefix("0x")
        let digits = isHexadecimal ? text.dropFirst(2) : text[...]
        guard digits.utf8.first.map({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }) ?? false,
            let number = UInt64(digits, radix: isHexadecimal ? 16 : 10)
        else { throw complaint(node, "a number from 0 is expected here, decimal or with 0x") }
        return number
    }
}
