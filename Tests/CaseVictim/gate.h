//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// While the gate is closed no thread is inside of the library: a child that is forked meanwhile finds all locks free.

#ifndef GATE_H
#define GATE_H

void gate_close(void);
void gate_open(void);

/// Around each use of the library by a thread: waits while the gate is closed.
void gate_enter(void);
void gate_leave(void);

#endif
