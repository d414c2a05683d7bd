//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import Foundation
import LivePatch
import ProcessPatching

/// Patch files of the tests.
enum PatchFiles {
    static func file(_ patch: Patch) throws -> PatchFile {
        let bytes = try PatchWriter.write(patch) { SHA256.digest(of: $0).bytes }
        return PatchFile(patch: patch, digest: try WholeFile.verify(bytes.span.bytes).bytes, path: patch.identifier)
    }

    /// The transaction of four functions over two objects.
    static func halves(_ workshop: Workshop) throws -> [PatchFile] {
        [
            try file(workshop.patch("one", ["one_run", "one_mix"], requires: ["FIX-two"])),
            try file(workshop.patch("two", ["two_encode", "two_decode"])),
        ]
    }
}
