//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "workers.h"
#include "OpenSSLCases.h"
#include "gate.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 64 };
static int started;
static atomic_ulong rounds[MOST];
static atomic_ulong wrong;
static _Atomic(const char *) last_wrong = "";

static void *work(void *argument) {
    int number = (int)(intptr_t)argument, count = openssl_case_count();
    // Each thread starts at another case.
    for (int index = number;; index++) {
        gate_enter();
        const char *outcome = openssl_case_legal(openssl_case_name(index % count));
        gate_leave();
        if (outcome == NULL || strcmp(outcome, "good") != 0) {
            last_wrong = outcome == NULL ? "no such case" : outcome;
            wrong++;
        }
        rounds[number]++;
        // Leaves the processor to others now and then.
        usleep(1000);
    }
    return NULL;
}

int workers_start(int count) {
    if (count > MOST) return 0;
    for (started = 0; started < count; started++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, (void *)(intptr_t)started) != 0) return 0;
    }
    return 1;
}

void workers_print(FILE *output) {
    for (int i = 0; i < started; i++) fprintf(output, "%lu ", rounds[i]);
    fprintf(output, "wrong %lu %s\n", wrong, last_wrong);
}
