//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import Commands
import LivePatch

/// A live patch that was read from a file and found whole.
struct InspectedFile {
    /// The path as it was given.
    var path: String
    /// The file's size in bytes.
    var size: Int
    /// SHA-256 as the file names it.
    var digest: PatchDigest
    /// What it holds.
    var patch: Patch

    /// Reads a file.
    /// - Throws: `CommandError`: what cannot be opened has failed, what is damaged is refused.
    init(_ path: String) throws(CommandError) {
        let bytes: [UInt8]
        do { bytes = try FileContents.read(path, limit: PatchFormat.maximumFileSize) } catch {
            throw .failure(error, .failed)
        }
        self.path = path
        size = bytes.count
        do throws(ApprovalError) { digest = try WholeFile.verify(bytes.span.bytes) } catch {
            throw Self.refused(path, error.code.rawValue, error.reason)
        }
        do throws(PatchFormatError) { patch = try PatchReader.read(bytes.span.bytes) } catch {
            throw Self.refused(path, error.code.rawValue, error.reason)
        }
    }

    private static func refused(_ path: String, _ reason: String, _ sentence: String) -> CommandError {
        .failure(
            Failure(
                reason: reason, message: "\(path): \(sentence)",
                remedy: "Get the file again, or build it again: moult build."), .refused)
    }
}
