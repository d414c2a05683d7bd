//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#define _GNU_SOURCE
#include "gate.h"
#include <pthread.h>

// Who closes it goes first: threads that enter over and over would never let it.
static pthread_rwlock_t gate = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

void gate_close(void) { pthread_rwlock_wrlock(&gate); }
void gate_open(void) { pthread_rwlock_unlock(&gate); }
void gate_enter(void) { pthread_rwlock_rdlock(&gate); }
void gate_leave(void) { pthread_rwlock_unlock(&gate); }
