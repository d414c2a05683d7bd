//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import Glibc
import LivePatch
import PatchPlan
import ProcessPatching

extension PatchFile {
    /// Largest file that is read, in bytes.
    private static let maximumSize = 1 << 20

    /// Reads a patch file: its whole digest first, then what it says.
    ///
    /// - Throws: `Refusal` (`fileUnreadable`, `fileInvalid`).
    init(reading path: String) throws(Refusal) {
        let bytes = try Self.contents(path)
        let digest: PatchDigest
        do throws(ApprovalError) {
            digest = unsafe try WholeFile.verify(bytes.span.bytes)
        } catch {
            throw Self.invalid(path, error.reason)
        }
        do throws(PatchFormatError) {
            self.init(patch: unsafe try PatchReader.read(bytes.span.bytes), digest: digest.bytes, path: path)
        } catch {
            throw Self.invalid(path, error.reason)
        }
    }

    private static func invalid(_ path: String, _ reason: String) -> Refusal {
        Refusal(.fileInvalid, "\(path): \(reason)", remedy: "Get the file again, and look at it with `moult inspect`.")
    }

    private static func contents(_ path: String) throws(Refusal) -> [UInt8] {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw unreadable(path, errno) }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw unreadable(path, EINVAL)
        }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                throw unreadable(path, errno)
            }
            if count == 0 { return bytes }
            bytes += buffer[..<count]
            guard bytes.count <= maximumSize else { throw invalid(path, "it is larger than 1 MiB") }
        }
    }

    private static func unreadable(_ path: String, _ number: Int32) -> Refusal {
        Refusal(
            .fileUnreadable, "\(path) cannot be read (errno \(number)).",
            remedy: "Check the name and who may read it.")
    }
}
