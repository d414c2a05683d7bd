//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// A process that uses openssl all the time, to be patched: moult-case-victim THREADS. So many threads (0: none) go
// through the legal uses of all cases, over and over. What it reads, line by line, it answers with a line each:
//
//     legal NAME      the outcome of a case's legal use
//     hostile NAME    the outcome of its hostile input
//     progress        how often each thread came round, then "wrong" and how many outcomes were not good, and the last
//
// It ends with its standard input.

#include "OpenSSLCases.h"
#include "gate.h"
#include "workers.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int count, char **arguments) {
    int threads = count == 2 ? atoi(arguments[1]) : -1;
    if (threads < 0) return 64;
    // Before anything else of the library takes memory.
    if (!openssl_cases_guard_memory()) return 1;
    openssl_cases_around_fork(gate_close, gate_open);
    const char *outcome = openssl_cases_prepare();
    if (strcmp(outcome, "good") != 0 || !workers_start(threads)) {
        fprintf(stderr, "%s\n", outcome);
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("ready\n");
    char line[256];
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, "legal ", 6) == 0)
            outcome = openssl_case_legal(line + 6);
        else if (strncmp(line, "hostile ", 8) == 0)
            outcome = openssl_case_hostile(line + 8);
        else if (strcmp(line, "progress") == 0) {
            workers_print(stdout);
            continue;
        } else
            outcome = NULL;
        printf("%s\n", outcome == NULL ? "unknown" : outcome);
    }
    return 0;
}
