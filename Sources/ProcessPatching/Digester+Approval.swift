//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
package import PatchPlan

extension Digester {
    /// SHA-256 as `Approval` computes it.
    package static var sha256: Digester { Digester { bytes in unsafe SHA256.digest(of: bytes.span.bytes).bytes } }
}
