//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import Foundation
import LivePatch
import ProcessPatching
import Testing

/// Patch files of the tests.
enum PatchFiles {
    static func file(_ patch: Patch) throws -> PatchFile {
        let bytes = try PatchWriter.write(patch) { SHA256.digest(of: $0).bytes }
        return PatchFile(patch: patch, digest: try WholeFile.verify(bytes.span.bytes).bytes, path: patch.identifier)
    }

    /// The half of it that needs data to be set, in three sections of the target: a slot that is read-only after
    /// relocation gets the address of a function of the patch.
    static func dataSetter(_ workshop: Workshop, identifier: String? = nil) throws -> Patch {
        var patch = try workshop.patch(
            "one", ["one_run", "one_mix"], identifier: identifier, requires: ["FIX-two"], new: "one-set")
        let symbols = try Workshop.symbols("\(workshop.directory)/libone.so")
        let new = try #require(patch.entries.first { $0.name == "one_mix" }).replacement
        func address(_ name: String) throws -> UInt64 { try #require(symbols[name], "\(name)").address }
        patch.fixUps = [
            FixUp(
                name: "one_slot", address: try address("one_slot"), size: .eight,
                from: .address(.target(try address("one_idle"))), to: .address(.image(new)),
                because: "old functions do not call it"),
            FixUp(
                name: "one_factor+4", address: try address("one_factor") + 4, size: .four, from: .number(1),
                to: .number(7), because: "old functions do not read it"),
            FixUp(
                name: "one_share", address: try address("one_share"), size: .one, from: .number(1), to: .number(4),
                because: "old functions do not read it"),
        ]
        return patch
    }

    /// The transaction of four functions over two objects.
    static func halves(_ workshop: Workshop) throws -> [PatchFile] {
        [
            try file(workshop.patch("one", ["one_run", "one_mix"], requires: ["FIX-two"])),
            try file(workshop.patch("two", ["two_encode", "two_decode"])),
        ]
    }
}
