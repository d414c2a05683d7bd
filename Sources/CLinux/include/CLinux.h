//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef MOULT_CLINUX_H
#define MOULT_CLINUX_H

// What the kernel offers and Swift's Glibc module does not show (variadic, or behind _GNU_SOURCE).
// Each function returns a value >= 0 or -errno; no logic lives here.

#endif
