//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Calls the functions of halves.h from several threads, checks every answer, and shows what it counted in a
// file that is mapped shared.
//
//     halves STATISTICS THREADS MODE [TURNS]
//
// MODE: run (work and rest), stay (one thread stays in one_run for ever), full (no free room near the libraries).
// A command word of 1 in the statistics makes a child that works too.

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "halves.h"

struct thread_counts {
    volatile uint64_t rounds, old_answers, new_answers, wrong_answers, errors;
};
struct statistics {
    volatile uint64_t ready, child, child_old, child_new, child_wrong, command, reserved[2];
    struct thread_counts threads[64];
};

static struct statistics *statistics;
static unsigned turns = 20;

static void work(struct thread_counts *counts) {
    uint64_t number = 2 * counts->rounds + 1;
    uint64_t answer = one_run(number, turns);
    if (answer == number * OLD_PRODUCT)
        counts->old_answers++;
    else if (answer == number * NEW_PRODUCT)
        counts->new_answers++;
    else
        counts->wrong_answers++;
    counts->rounds++;
}

static void *run(void *argument) {
    struct thread_counts *counts = argument;
    for (;;) {
        work(counts);
        for (volatile unsigned turn = 0; turn < 400; turn++) {}
        if (counts->rounds % 16 == 0) {
            struct timespec pause = {0, 50000};
            // Interrupted only if the stop was not invisible.
            if (nanosleep(&pause, NULL) != 0) counts->errors++;
        }
    }
}

static void *stay(void *argument) {
    struct thread_counts *counts = argument;
    counts->rounds++;
    one_run(1, 4000000000u);
    one_run(1, 4000000000u);
    one_run(1, 4000000000u);
    return NULL;
}

static void command(void) {
    if (statistics->command == 1) {
        statistics->command = 0;
        pid_t child = fork();
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            struct thread_counts counts;
            memset(&counts, 0, sizeof counts);
            for (;;) {
                work(&counts);
                statistics->child_old = counts.old_answers;
                statistics->child_new = counts.new_answers;
                statistics->child_wrong = counts.wrong_answers;
                usleep(100);
            }
        }
        statistics->child = child;
    }
}

int main(int count, char **arguments) {
    if (count < 4) return 64;
    prctl(PR_SET_PTRACER, -1);
    int threads = atoi(arguments[2]);
    if (count > 4) turns = atoi(arguments[4]);
    int file = open(arguments[1], O_RDWR | O_CREAT, 0666);
    if (file < 0 || ftruncate(file, sizeof *statistics) != 0) return 1;
    statistics = mmap(NULL, sizeof *statistics, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (statistics == MAP_FAILED) return 1;
    if (strcmp(arguments[3], "full") == 0) {
        // Everything within reach of the libraries is taken.
        uintptr_t near = (uintptr_t)&one_run & ~0xfffful;
        for (int64_t distance = -0x90000000ll; distance < 0x90000000ll; distance += 0x10000)
            mmap((void *)(near + distance), 0x10000, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE,
                 -1, 0);
        for (int64_t distance = -0x90000000ll; distance < 0x90000000ll; distance += 0x1000)
            if (distance > -0x2000000ll && distance < 0x2000000ll)
                mmap((void *)(near + distance), 0x1000, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1, 0);
    }
    for (int index = 1; index < threads; index++) {
        pthread_t thread;
        int staying = index == 1 && strcmp(arguments[3], "stay") == 0;
        if (pthread_create(&thread, NULL, staying ? stay : run, &statistics->threads[index]) != 0) return 1;
    }
    statistics->ready = 1;
    struct thread_counts *counts = &statistics->threads[0];
    for (;;) {
        work(counts);
        for (volatile unsigned turn = 0; turn < 400; turn++) {}
        if (counts->rounds % 16 == 0) {
            struct timespec pause = {0, 50000};
            if (nanosleep(&pause, NULL) != 0) counts->errors++;
            command();
        }
    }
}
