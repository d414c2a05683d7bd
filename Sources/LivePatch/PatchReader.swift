//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF

/// Turns the bytes of a file into a live patch, and refuses everything that is not exactly as specified
/// (Documentation/live-patch-format.md).
///
/// It does not look at the digest: `WholeFile` (Approval) does, first. It reads what the parts say, checks that
/// they fit together, writes the patch again and compares: so every byte before the digest counts, also those
/// that no other check looks at.
package enum PatchReader {
    /// Reads a patch file.
    ///
    /// - Throws: `PatchFormatError` with the reason why the bytes are no live patch. Never traps.
    package static func read(_ bytes: RawSpan) throws(PatchFormatError) -> Patch {
        guard bytes.byteCount <= PatchFormat.maximumFileSize else {
            throw PatchFormatError(
                .tooLarge, "a file of \(bytes.byteCount) bytes; the format allows \(PatchFormat.maximumFileSize)")
        }
        let patch = try parse(bytes)
        // `undigested` validates first.
        try compare(bytes, with: try PatchWriter.undigested(patch))
        return patch
    }

    private static func parse(_ bytes: RawSpan) throws(PatchFormatError) -> Patch {
        let object: PatchObject
        do throws(ELFError) {
            object = try PatchObject(bytes)
        } catch {
            switch error.code {
            case .notELF, .notFound, .unsupported:
                throw PatchFormatError(.notPatch, "not a live patch: \(error.reason)", underlying: error)
            case .outOfBounds, .malformed: throw .unreadable("the file", error)
            }
        }
        let machine = object.image.header.machine
        guard machine == .x86_64 else {
            throw PatchFormatError(.unsupportedMachine, "machine \(machine.rawValue) is not supported")
        }
        let notes = try PatchNotes(reading: object.notes)
        var patch = Patch(
            identifier: notes.identifier, target: notes.target(machine: machine), provenance: try notes.provenance(),
            verdict: try notes.verdict(), entries: try EntryTable.decode(object.entries),
            fixUps: try FixUpTable.decode(object.fixUps), image: try object.parts(), symbols: [],
            requires: notes.requires)
        do throws(ELFError) {
            patch.image.relocations = try object.relocations(of: patch.image)
            // Index 0 is the null symbol, then one for each of four sections.
            patch.symbols = try object.symbols(behind: 5 + patch.entrySymbolCount, of: patch.image)
        } catch {
            throw .unreadable("the symbols or relocations", error)
        }
        return patch
    }

    /// Compares all bytes but the digest.
    private static func compare(_ bytes: RawSpan, with canonical: [UInt8]) throws(PatchFormatError) {
        let covered = canonical.count - PatchFormat.digestSize
        for index in 0..<min(covered, bytes.byteCount)
        where bytes.uncheckedInteger(at: index, as: UInt8.self) != canonical[index] {
            throw PatchFormatError(.notCanonical, "byte \(index) of the file is not what the same patch has there")
        }
        guard bytes.byteCount == canonical.count else {
            throw PatchFormatError(
                .notCanonical, "the file has \(bytes.byteCount) bytes where the same patch has \(canonical.count)")
        }
    }
}
