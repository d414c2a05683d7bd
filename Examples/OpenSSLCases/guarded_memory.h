//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Memory functions for the library that let no access beyond a block, or after its end, pass.

#ifndef GUARDED_MEMORY_H
#define GUARDED_MEMORY_H

/// Whether the library uses the functions (see openssl_cases_guard_memory).
int can_guard_memory(void);

/// From now on each block ends right before a page that cannot be accessed, and cannot be accessed itself once it is
/// freed. For a child with one thread; the memory is never given back.
void guard_memory(void);

#endif
