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
        do {
            let digest = try WholeFile.verify(bytes.span.bytes)
            let patch = try PatchReader.read(bytes.span.bytes)
            self.init(
                file: file, identifier: patch.identifier, digest: digest.bytes, target: patch.target,
                cves: patch.provenance.cves)
        } catch let error as ApprovalError {
            throw Self.refused(file, error.code.rawValue, error.reason)
        } catch let error as PatchFormatError {
            throw Self.refused(file, error.code.rawValue, error.reason)
        } catch {
            throw Self.refused(file, "file-invalid", "\(error)")
        }
    }

    private static func refused(_ file: String, _ reason: String, _ sentence: String) -> CommandError {
        .failure(
            Failure(
                reason: reason, message: "\(file): \(sentence)",
                remedy: "Get the file again, or build it again: moult build."), .refused)
    }
}
