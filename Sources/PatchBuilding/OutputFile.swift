//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Files that are handed out.
package enum OutputFile {
    /// Writes a file under its final name in one step, on the disk when this returns: who finds it finds all of
    /// it. Directories above it are made. A process that is killed leaves at most a hidden file beside it, which
    /// the next run with the same name writes over.
    ///
    /// - Throws: `PreparationError`: `noSpace`, `systemFailed`, naming the file.
    package static func write(_ bytes: [UInt8], to path: String) throws(PreparationError) {
        try Files.makeDirectory(Files.parent(path))
        try Files.write(bytes, to: path, isLasting: true)
    }
}
