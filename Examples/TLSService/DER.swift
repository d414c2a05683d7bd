//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The little of DER (ITU-T X.690) that is needed to write a message by hand.
enum DER {
    /// A value: tag, length, contents.
    static func value(_ tag: UInt8, _ contents: [UInt8]) -> [UInt8] {
        var length: [UInt8] = []
        if contents.count < 0x80 {
            length = [UInt8(contents.count)]
        } else {
            var rest = contents.count
            while rest > 0 {
                length.insert(UInt8(rest & 0xff), at: 0)
                rest >>= 8
            }
            length.insert(0x80 | UInt8(length.count), at: 0)
        }
        return [tag] + length + contents
    }

    /// A sequence of encoded values.
    static func sequence(_ values: [UInt8]...) -> [UInt8] { value(0x30, Array(values.joined())) }
    /// A context-specific tag around an encoded value.
    static func explicit(_ number: UInt8, _ contents: [UInt8]) -> [UInt8] { value(0xa0 | number, contents) }
    /// A context-specific tag in place of a value's own, not constructed.
    static func implicit(_ number: UInt8, _ contents: [UInt8]) -> [UInt8] { value(0x80 | number, contents) }
    /// An integer below 128.
    static func integer(_ number: UInt8) -> [UInt8] { value(0x02, [number]) }
    /// An octet string.
    static func octets(_ bytes: [UInt8]) -> [UInt8] { value(0x04, bytes) }
    /// A bit string of whole bytes: the contents start with the number of unused bits.
    static func bits(_ bytes: [UInt8]) -> [UInt8] { value(0x03, [0] + bytes) }
    /// An object identifier whose contents are encoded already.
    static func object(_ contents: [UInt8]) -> [UInt8] { value(0x06, contents) }
}
