//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import Commands
import LivePatch
import ProcessObservation

extension WantedPatch {
    /// Reads a live patch and checks that it is whole.
    /// - Throws: `CommandError`: the file is refused with the reason that the reader gives.
    init(reading file: String) throws(CommandError) {
        let bytes: [UInt8]
        do { bytes = try FileContents.read(file, limit: PatchFormat.maximumFileSize) } catch {
            throw .failure(error, .failed)
        }
        let digest: PatchDigest
        let patch: Patch
        // A span of an array that lives on: nothing of it is kept.
        do throws(ApprovalError) { digest = try WholeFile.verify(unsafe bytes.span.bytes) } catch {
            throw Self.refused(file, error.code.rawValue, error.reason)
        }
        do throws(PatchFormatError) { patch = try PatchReader.read(unsafe bytes.span.bytes) } catch {
            throw Self.refused(file, error.code.rawValue, error.reason)
        }
        self.init(
            file: file, identifier: patch.identifier, digest: digest.bytes, target: patch.target,
            cves: patch.provenance.cves)
    }

    private static func refused(_ file: String, _ reason: String, _ sentence: String) -> CommandError {
        .failure(
            Failure(
                reason: reason, message: "\(file): \(sentence)",
                remedy: "Get the file again, or build it again: moult build."), .refused)
    }
}
