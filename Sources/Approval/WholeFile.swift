//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import LivePatch

/// Is this file whole: are its bytes those that its writer wrote? (Who wrote them is a signature's matter.)
package enum WholeFile {
    /// Compares the last 32 bytes of a patch file with SHA-256 of all bytes before them
    /// (Documentation/live-patch-format.md, "Digest").
    ///
    /// - Returns: The digest, which names the file from here on.
    /// - Throws: `ApprovalError` where the file is too short, or the two differ.
    package static func verify(_ bytes: RawSpan) throws(ApprovalError) -> PatchDigest {
        guard bytes.byteCount >= PatchDigest.size else {
            throw ApprovalError(.truncated, "the file has \(bytes.byteCount) bytes: too short for a live patch")
        }
        let covered = bytes.byteCount - PatchDigest.size
        let computed = SHA256.digest(of: bytes.extracting(0..<covered))
        let stored = unsafe bytes.extracting(covered..<bytes.byteCount).withUnsafeBytes { unsafe [UInt8]($0) }
        guard computed.bytes == stored else {
            if let declared = PatchFormat.declaredSize(of: bytes), declared > UInt64(bytes.byteCount) {
                throw ApprovalError(
                    .truncated, "the file is cut short: it has \(bytes.byteCount) of at least \(declared) bytes")
            }
            throw ApprovalError(
                .digestMismatch, "the file is damaged: its contents do not have the digest that it names")
        }
        return computed
    }
}
