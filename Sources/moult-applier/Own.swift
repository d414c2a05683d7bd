//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Glibc

/// This process.
enum Own {
    /// Its pid.
    static let pid: Int32 = getpid()
}
