//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import CSodium

/// SHA-256 by libsodium.
package enum SHA256 {
    /// The digest of bytes.
    package static func digest(of bytes: RawSpan) -> PatchDigest {
        var output = [UInt8](repeating: 0, count: PatchDigest.size)
        // Cannot fail: it returns an int only to look like its sisters. The input may be nil where it is empty;
        // `&output` lends the array's storage for the call.
        unsafe bytes.withUnsafeBytes { input in
            let first = unsafe input.baseAddress?.assumingMemoryBound(to: UInt8.self)
            _ = unsafe crypto_hash_sha256(&output, first, UInt64(input.count))
        }
        return PatchDigest(computed: output)
    }
}
