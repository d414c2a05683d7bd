//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// SHA-256 of some bytes: 32 bytes.
///
/// The planning is pure and brings no cryptography of its own; the caller hands in the one that `Approval` uses.
package struct Digester: Sendable {
    private let digest: @Sendable ([UInt8]) -> [UInt8]

    /// Wraps a digest.
    package init(_ digest: @escaping @Sendable ([UInt8]) -> [UInt8]) { self.digest = digest }

    /// The digest of some bytes.
    package func callAsFunction(_ bytes: [UInt8]) -> [UInt8] { digest(bytes) }
}

/// Size of a SHA-256 digest in bytes.
package let digestSize = 32
