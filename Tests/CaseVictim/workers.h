//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Threads that use the library all the time.

#ifndef WORKERS_H
#define WORKERS_H

#include <stdio.h>

/// Starts so many; false if that fails.
int workers_start(int count);

/// Writes a line: how often each came round, and how many outcomes were wrong.
void workers_print(FILE *output);

#endif
