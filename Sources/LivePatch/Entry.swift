//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// One function of the target that is replaced.
package struct Entry: Sendable, Equatable {
    /// The function's name in the rebuilt object (`get_crl_sk`, `dane_match.isra.0`). For people.
    package var name: String
    /// Target-relative address of the old function's first byte: where the jump goes.
    package var address: UInt64
    /// The old function's bytes as the target's file holds them, all of them: `expected.count` is its size.
    package var expected: [UInt8]
    /// Ranges of `expected` that the dynamic linker writes and that are therefore not compared; offset and
    /// length in bytes. Empty for code without text relocations.
    package var masked: [MaskedRange]
    /// Lengths of the instructions that cover the first `overwrittenSize` bytes, in order.
    package var prologue: [UInt8]
    /// Offset in the image of the new function's first byte.
    package var replacement: UInt32
    /// Size of the new function in bytes.
    package var replacementSize: UInt32
    /// The gate, or nil where the prologue cannot be relocated.
    package var gate: Gate?

    /// Bytes of the entry that a jump overwrites: `jmp rel32`.
    package static var overwrittenSize: Int { 5 }

    /// Makes an entry of its parts.
    package init(
        name: String, address: UInt64, expected: [UInt8], masked: [MaskedRange], prologue: [UInt8],
        replacement: UInt32, replacementSize: UInt32, gate: Gate?
    ) {
        self.name = name
        self.address = address
        self.expected = expected
        self.masked = masked
        self.prologue = prologue
        self.replacement = replacement
        self.replacementSize = replacementSize
        self.gate = gate
    }
}

/// A range of bytes that is not compared.
package struct MaskedRange: Sendable, Equatable {
    /// First byte, counted from the entry's address.
    package var offset: UInt32
    /// Number of bytes.
    package var length: UInt32

    /// Makes a range.
    package init(offset: UInt32, length: UInt32) {
        self.offset = offset
        self.length = length
    }
}

/// A piece of the image that an entry can jump to before the transaction commits: it reads the
/// transaction's state word and goes on in the new function or, by the relocated prologue, in the old one.
///
/// It changes no register, no flag and no byte above the stack pointer:
/// ```
/// start:    push rcx
///           mov  rcx, [rip + statePointer]   ; a slot of the image: address of the state word
///           mov  rcx, [rcx]
///           jrcxz original                   ; 0: old, anything else: new
///           pop  rcx
///           jmp  replacement
/// original: pop  rcx
///           <relocated prologue>
///           jmp  entry + sum(prologue)
/// ```
package struct Gate: Sendable, Equatable {
    /// Offset of `start` in the image.
    package var offset: UInt32
    /// Size in bytes, from `start` to the end of the last jump.
    package var size: UInt32
    /// Offset in the image of the relocated prologue's first byte: a thread whose instruction pointer is at
    /// or after it is in the old function already.
    package var original: UInt32

    /// Makes a gate's description.
    package init(offset: UInt32, size: UInt32, original: UInt32) {
        self.offset = offset
        self.size = size
        self.original = original
    }
}
