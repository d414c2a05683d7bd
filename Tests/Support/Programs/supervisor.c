//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// supervisor RESULT START N TOOL ARGUMENT...: runs the tool and kills it with SIGKILL right after its Nth system call,
// counted from START: `seize` (its first PTRACE_SEIZE is number 1), `start` (its first after execve), or `write` (its
// first pwrite64). Writes to RESULT `killed NUMBER-OF-SYSTEM-CALL` or `exited STATUS COUNTED`. N = 0 never kills.
// The tool has one thread; what it traces itself is not touched.

#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static int starts(const char *start, const struct user_regs_struct *r) {
    if (!strcmp(start, "start")) return 1;
    if (!strcmp(start, "write")) return r->orig_rax == SYS_pwrite64;
    return r->orig_rax == SYS_ptrace && r->rdi == 0x4206;
}

int main(int argc, char **argv) {
    if (argc < 5) return 64;
    long wanted = atol(argv[3]), counted = 0;
    pid_t tool = fork();
    if (tool == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0) _exit(126);
        raise(SIGSTOP);
        execv(argv[4], argv + 4);
        _exit(127);
    }
    int status, is_counting = 0, is_entry = 1;
    FILE *result = fopen(argv[1], "w");
    if (!result || waitpid(tool, &status, 0) != tool || !WIFSTOPPED(status)) return 1;
    if (ptrace(PTRACE_SETOPTIONS, tool, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC) != 0) return 1;
    // To the execve first.
    for (;;) {
        if (ptrace(PTRACE_CONT, tool, 0, 0) != 0 || waitpid(tool, &status, 0) != tool) return 1;
        if (WIFEXITED(status)) return 1;
        if (status >> 16 == PTRACE_EVENT_EXEC) break;
    }
    // The exit of execve comes first.
    is_entry = 0;
    int signal = 0;
    for (;;) {
        if (ptrace(PTRACE_SYSCALL, tool, 0, signal) != 0 || waitpid(tool, &status, 0) != tool) return 1;
        signal = 0;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            fprintf(result, "exited %d %ld\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), counted);
            break;
        }
        if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
            signal = status >> 16 ? 0 : WSTOPSIG(status);
            continue;
        }
        struct user_regs_struct registers;
        if (ptrace(PTRACE_GETREGS, tool, 0, &registers) != 0) return 1;
        if (is_entry) {
            if (!is_counting && starts(argv[2], &registers)) is_counting = 1;
        } else if (is_counting && ++counted == wanted) {
            kill(tool, SIGKILL);
            waitpid(tool, &status, __WALL);
            fprintf(result, "killed %lld\n", (long long)registers.orig_rax);
            break;
        }
        is_entry = !is_entry;
    }
    fclose(result);
    return 0;
}
