//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// One object of the target, rebuilt three times: what the matcher, the differ and the linker work on.
///
/// Each is the whole contents of an ELF64 relocatable object for x86-64.
package struct RebuiltObject: Sendable {
    /// The object's name within the build (`crypto/libcrypto-lib-mem.o`), unique within the target. For
    /// people, and as the key of everything that is local to the object.
    package var name: String
    /// The unmodified source, compiled exactly as the distribution compiled it. Its code sections are
    /// searched in the shipped binary.
    package var prePlain: [UInt8]
    /// The unmodified source, compiled with `-ffunction-sections -fdata-sections` added: one section per
    /// function, with every reference still a relocation. Its debug information describes every type that the
    /// source and its headers define (`-g -fno-eliminate-unused-debug-types`).
    package var pre: [UInt8]
    /// The fixed source, compiled as `pre` was, with line numbers kept by `#line`.
    package var post: [UInt8]

    /// Makes a rebuilt object of its parts.
    package init(name: String, prePlain: [UInt8], pre: [UInt8], post: [UInt8]) {
        self.name = name
        self.prePlain = prePlain
        self.pre = pre
        self.post = post
    }
}
