//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Hostile inputs that may crash are tried in a child: it is, patch or no patch, in the state that this process is in.

#include "include/OpenSSLCases.h"
#include "case.h"
#include "guarded_memory.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void nothing(void) {}
static void (*before_fork)(void) = nothing, (*after_fork)(void) = nothing;

void openssl_cases_around_fork(void (*before)(void), void (*after)(void)) {
    before_fork = before == NULL ? nothing : before;
    after_fork = after == NULL ? nothing : after;
}

const char *run_in_child(const char *(*hostile)(void), int is_guarded) {
    NEED(!is_guarded || can_guard_memory());
    // Outcomes are constant texts, which the child has at the same addresses.
    const char **answer = mmap(NULL, sizeof *answer, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    NEED(answer != MAP_FAILED);
    const char *outcome = "bad: no child was free to run";
    for (int attempt = 0; attempt < 5; attempt++) {
        *answer = NULL;
        before_fork();
        pid_t child = fork();
        if (child == 0) {
            struct rlimit none = {0, 0};
            sigset_t all;
            int null = open("/dev/null", O_WRONLY);
            sigemptyset(&all);
            sigprocmask(SIG_SETMASK, &all, NULL);
            signal(SIGSEGV, SIG_DFL);
            signal(SIGBUS, SIG_DFL);
            signal(SIGABRT, SIG_DFL);
            setrlimit(RLIMIT_CORE, &none);
            dup2(null, 2); // the C library writes there before it aborts
            // Where threads may be inside of the library, a child that takes longer waits for one of their locks.
            alarm(before_fork == nothing ? 2 : 120);
            if (is_guarded) guard_memory();
            *answer = hostile();
            _exit(0);
        }
        after_fork();
        if (child < 0) {
            outcome = "bad: fork failed";
            break;
        }
        int status = 0;
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) continue;
        if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS
                                    || WTERMSIG(status) == SIGABRT))
            outcome = "crashed";
        else if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && *answer != NULL)
            outcome = *answer;
        else
            outcome = "bad: the child ended in another way";
        break;
    }
    munmap(answer, sizeof *answer);
    return outcome;
}
