//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// handler STATISTICS: calls fault_read with a bad address, so that a signal handler on an alternate stack runs
// while the function stands in its second instruction. When the first command word becomes 1 the handler mends the
// address and returns there. Words: 0 ready (1: in the handler, 2: back), 1 answer, 2 command.

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

int fault_read(const int *number);

static volatile uint64_t *words;
static const int number = 40;

static void handle(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    words[0] = 1;
    while (words[2] != 1) {
        struct timespec pause = {0, 1000000};
        nanosleep(&pause, NULL);
    }
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RDI] = (greg_t)&number;
}

// Something has to map the patch memory; a thread on an alternate stack is not borrowed.
static void *sleeper(void *argument) {
    for (;;) pause();
    return argument;
}

int main(int count, char **arguments) {
    if (count < 2) return 64;
    int file = open(arguments[1], O_RDWR | O_CREAT, 0666);
    if (file < 0 || ftruncate(file, 4096) != 0) return 1;
    words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (words == MAP_FAILED) return 1;
    pthread_t thread;
    if (pthread_create(&thread, NULL, sleeper, NULL) != 0) return 1;
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGSEGV, &action, NULL);
    words[1] = (uint64_t)fault_read((const int *)16);
    words[0] = 2;
    for (;;) {
        words[1] = (uint64_t)fault_read(&number);
        words[3]++;
        usleep(100);
    }
}
