//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// A process to be stopped: victim SHARED-FILE KINDS [OPTION...]. One thread per letter of KINDS (the first is the main
// thread), each going round for ever: it makes its call, checks that nothing is different, and counts. What happens
// is written to the shared file (struct shared), which the test maps.
//
// Options: seccomp-allow, seccomp-no-mmap (filters), zombie-leader (the main thread ends), handler (SIGRTMIN handler
// that counts), noexit.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct shared {
    volatile uint64_t ready;
    volatile uint64_t interrupted; // calls that gave EINTR
    volatile uint64_t unexpected;  // any other wrong result
    volatile uint64_t corrupt;     // registers, vectors, red zone or alternate stack changed
    volatile uint64_t handled;     // runs of the SIGRTMIN handler
    volatile uint64_t late;        // longest delay of a spinning thread in nanoseconds
    volatile uint64_t last_errno;
    volatile uint64_t last_kind;
    volatile uint64_t progress[256];
};

static struct shared *shared;
static const char *kinds;

#define ADD(field) __atomic_add_fetch(&shared->field, 1, __ATOMIC_RELAXED)

// uint64_t spin_*(const void *in, void *out, uint64_t rounds): fills vectors from `in`, registers and the red zone with
// patterns, goes round, stores the vectors to `out`; returns 0 if registers and red zone are as they were.
#define SPIN(name, LOAD, STORE)                                                                                        \
    asm(".text\n.type " name ",@function\n" name ":\n"                                                                 \
        "push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\npush %rsi\nmov %rdx,%rcx\n" LOAD             \
        "mov $0x1111111111111111,%rbx\nmov $0x2222222222222222,%rbp\nmov $0x3333333333333333,%rdi\n"                   \
        "mov $0x4444444444444444,%rsi\nmov $0x5555555555555555,%r8\nmov $0x6666666666666666,%r9\n"                     \
        "mov $0x7777777777777777,%r10\nmov $0x0888888888888888,%r11\nmov $0x0999999999999999,%r12\n"                   \
        "mov $0x0aaaaaaaaaaaaaaa,%r13\nmov $0x0bbbbbbbbbbbbbbb,%r14\nmov $0x0ccccccccccccccc,%r15\n"                   \
        "mov %rbx,-8(%rsp)\nmov %rbp,-16(%rsp)\nmov %r8,-64(%rsp)\nmov %r9,-120(%rsp)\nmov %r10,-128(%rsp)\n"          \
        "1: dec %rcx\njnz 1b\n"                                                                                        \
        "xor %eax,%eax\n"                                                                                              \
        "cmp %rbx,-8(%rsp)\njne 2f\ncmp %rbp,-16(%rsp)\njne 2f\ncmp %r8,-64(%rsp)\njne 2f\n"                           \
        "cmp %r9,-120(%rsp)\njne 2f\ncmp %r10,-128(%rsp)\njne 2f\n"                                                    \
        "mov $0x1111111111111111,%rdx\ncmp %rdx,%rbx\njne 2f\nmov $0x2222222222222222,%rdx\ncmp %rdx,%rbp\njne 2f\n"   \
        "mov $0x3333333333333333,%rdx\ncmp %rdx,%rdi\njne 2f\nmov $0x4444444444444444,%rdx\ncmp %rdx,%rsi\njne 2f\n"   \
        "mov $0x5555555555555555,%rdx\ncmp %rdx,%r8\njne 2f\nmov $0x6666666666666666,%rdx\ncmp %rdx,%r9\njne 2f\n"     \
        "mov $0x7777777777777777,%rdx\ncmp %rdx,%r10\njne 2f\nmov $0x0888888888888888,%rdx\ncmp %rdx,%r11\njne 2f\n"   \
        "mov $0x0999999999999999,%rdx\ncmp %rdx,%r12\njne 2f\nmov $0x0aaaaaaaaaaaaaaa,%rdx\ncmp %rdx,%r13\njne 2f\n"   \
        "mov $0x0bbbbbbbbbbbbbbb,%rdx\ncmp %rdx,%r14\njne 2f\nmov $0x0ccccccccccccccc,%rdx\ncmp %rdx,%r15\njne 2f\n"   \
        "jmp 3f\n2: mov $1,%eax\n3: pop %rdx\n" STORE                                                                  \
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n");

#define ALL16(X)                                                                                                       \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define ALL32(X)                                                                                                       \
    ALL16(X)                                                                                                           \
    X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)
#define LOADZ(n) "vmovdqu64 64*" #n "(%rdi),%zmm" #n "\n"
#define STOREZ(n) "vmovdqu64 %zmm" #n ",64*" #n "(%rdx)\n"
#define LOADX(n) "movdqu 64*" #n "(%rdi),%xmm" #n "\n"
#define STOREX(n) "movdqu %xmm" #n ",64*" #n "(%rdx)\n"
SPIN("spin_zmm", ALL32(LOADZ) "kmovq 2048(%rdi),%k1\nkmovq 2056(%rdi),%k7\n",
     ALL32(STOREZ) "kmovq %k1,2048(%rdx)\nkmovq %k7,2056(%rdx)\n")
SPIN("spin_xmm", ALL16(LOADX), ALL16(STOREX))
uint64_t spin_zmm(const void *in, void *out, uint64_t rounds);
uint64_t spin_xmm(const void *in, void *out, uint64_t rounds);

static void spin_checked(int index) {
    static int has_zmm = -1;
    if (has_zmm < 0) has_zmm = __builtin_cpu_supports("avx512bw") != 0;
    unsigned char in[2064], out[2064];
    for (size_t i = 0; i < sizeof in; i++) in[i] = (unsigned char)(i * 7 + (size_t)index * 31 + 1);
    memcpy(out, in, sizeof in);
    if (!has_zmm)
        for (size_t i = 0; i < 16; i++) memset(out + 64 * i, 0, 16);
    else
        memset(out, 0, sizeof out);
    uint64_t wrong = has_zmm ? spin_zmm(in, out, 20000) : spin_xmm(in, out, 20000);
    if (wrong || memcmp(in, out, sizeof in)) ADD(corrupt);
}

static void wrong(char kind, int error) {
    shared->last_errno = (uint64_t)error;
    shared->last_kind = (uint64_t)kind;
    if (error == EINTR)
        ADD(interrupted);
    else
        ADD(unexpected);
}

static volatile int in_handler_ok;
static void on_usr1(int signal) {
    (void)signal;
    unsigned char pattern[512];
    memset(pattern, 0x5a, sizeof pattern);
    struct timespec pause = {0, 3000000};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    for (size_t i = 0; i < sizeof pattern; i++)
        if (((volatile unsigned char *)pattern)[i] != 0x5a) ADD(corrupt);
    stack_t now;
    if (sigaltstack(NULL, &now) != 0 || !(now.ss_flags & SS_ONSTACK) || now.ss_size != 65536) ADD(corrupt);
    in_handler_ok = 1;
}
static void on_rt(int signal) {
    (void)signal;
    __atomic_add_fetch(&shared->handled, 1, __ATOMIC_RELAXED);
}

static int pair_of_sockets(int milliseconds) {
    int pair[2];
    struct timeval limit = {0, milliseconds * 1000};
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) abort();
    if (setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0) abort();
    return pair[0];
}

static int periodic_timer(void) {
    int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec period = {{0, 10000000}, {0, 10000000}};
    if (timer < 0 || timerfd_settime(timer, 0, &period, NULL) != 0) abort();
    return timer;
}

static uint32_t futex_word;

static __thread volatile int usr2_runs;
static void on_usr2(int signal) {
    (void)signal;
    usr2_runs++;
}

// A timer that sends SIGUSR2 to the calling thread every 5 ms.
static void start_usr2(void) {
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2};
    event._sigev_un._tid = gettid();
    timer_t timer;
    struct itimerspec period = {{0, 5000000}, {0, 5000000}};
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 || timer_settime(timer, 0, &period, NULL) != 0) abort();
}

// After a wait with a mask of its own: our mask is back, and if the call was interrupted a handler has run.
static int mask_is_back(int runs_before, int was_interrupted) {
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    return sigismember(&now, SIGUSR2) && (!was_interrupted || usr2_runs > runs_before);
}

static void *rounds(void *argument) {
    int index = (int)(intptr_t)argument;
    char kind = kinds[index];
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(0), descriptor = -1, semaphore = -1;
    struct timespec limit = {0, 20000000};
    sigset_t set;
    char byte;
    uint64_t count;
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    if (kind == 'E' || kind == 'r') descriptor = periodic_timer();
    if (kind == 'E') epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event);
    if (kind == 'R') descriptor = pair_of_sockets(20);
    if (kind == 'm') semaphore = semget(IPC_PRIVATE, 1, 0600);
    sigset_t empty;
    int runs;
    sigemptyset(&empty);
    if (sigaltstack(&stack, NULL) != 0) abort();
    if (kind == 'c') {
        struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        descriptor = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(descriptor, (struct sockaddr *)&any, sizeof any) != 0 || listen(descriptor, 1) != 0) abort();
    }
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (kind == 'u' || kind == 'U') start_usr2();
    for (;;) {
        switch (kind) {
        case 'a': spin_checked(index); break;
        case 'S':
            for (volatile int i = 0; i < 20000; i++) {}
            break;
        case 'e': if (epoll_wait(epoll, &event, 1, 20) != 0) wrong(kind, errno); break;
        case 'E':
            if (epoll_wait(epoll, &event, 1, -1) != 1)
                wrong(kind, errno);
            else if (read(descriptor, &count, 8) != 8)
                wrong(kind, errno);
            break;
        case 'n':
            limit.tv_nsec = 10000000;
            count = (uint64_t)clock_nanosleep(CLOCK_MONOTONIC, 0, &limit, NULL);
            if (count) wrong(kind, (int)count);
            break;
        case 'p': if (poll(NULL, 0, 10) != 0) wrong(kind, errno); break;
        case 'F':
            if (syscall(SYS_futex, &futex_word, FUTEX_WAIT_PRIVATE, 0, &limit, NULL, 0) != -1 || errno != ETIMEDOUT)
                wrong(kind, errno);
            break;
        case 'f':
            if (syscall(SYS_futex, &futex_word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) != 0) wrong(kind, errno);
            break;
        case 'r': if (read(descriptor, &count, 8) != 8) wrong(kind, errno); break;
        case 's':
            in_handler_ok = 0;
            if (syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1) != 0 || !in_handler_ok) wrong(kind, errno);
            break;
        case 'R': if (recv(descriptor, &byte, 1, 0) != -1 || errno != EAGAIN) wrong(kind, errno); break;
        case 'c': if (accept(descriptor, NULL, NULL) < 0) wrong(kind, errno); break;
        case 'm': {
            // Value 0: waits until it is more, or the time is over.
            struct sembuf operation = {0, -1, 0};
            if (semtimedop(semaphore, &operation, 1, &limit) != -1 || errno != EAGAIN) wrong(kind, errno);
            break;
        }
        case 't':
            if (sigtimedwait(&set, NULL, &limit) != -1 || errno != EAGAIN) wrong(kind, errno);
            break;
        case 'u': // sigsuspend: returns with EINTR after a handler, and never else
            runs = usr2_runs;
            if (sigsuspend(&empty) != -1 || errno != EINTR || !mask_is_back(runs, 1)) wrong(kind, EPROTO);
            break;
        case 'U': // ppoll with a mask: interrupted by a handler, or the time is over
            runs = usr2_runs;
            if (ppoll(NULL, 0, &limit, &empty) != -1)
                count = 0;
            else
                count = 1;
            if ((count && errno != EINTR) || !mask_is_back(runs, (int)count)) wrong(kind, EPROTO);
            break;
        case 'M': { // maps and unmaps, to be in the way of a search for room
            void *memory = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (memory == MAP_FAILED || munmap(memory, 65536) != 0) wrong(kind, errno);
            break;
        }
        case 'T': { // thread storm
            pthread_t thread;
            extern void *short_life(void *);
            if (pthread_create(&thread, NULL, short_life, NULL) == 0) pthread_join(thread, NULL);
            break;
        }
        case 'k': { // fork storm
            pid_t child = fork();
            if (child == 0) _exit(7);
            int status = 0;
            if (child < 0 || waitpid(child, &status, 0) != child || status != 7 << 8) wrong(kind, errno);
            break;
        }
        case 'v': { // vfork; the child lives a while in our memory
            pid_t child = vfork();
            if (child == 0) {
                struct timespec pause = {0, 30000000};
                clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
                _exit(7);
            }
            int status = 0;
            if (child < 0 || waitpid(child, &status, 0) != child || status != 7 << 8) wrong(kind, errno);
            break;
        }
        default: abort();
        }
        stack_t now;
        if (sigaltstack(NULL, &now) != 0 || now.ss_sp != stack.ss_sp || now.ss_size != 65536 || now.ss_flags != 0)
            ADD(corrupt);
        shared->progress[index]++;
    }
    return NULL;
}

void *short_life(void *argument) {
    struct timespec pause = {0, 500000};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    return argument;
}

#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
static void filter(int denies_mmap) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xc000003e, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, denies_mmap ? SYS_mmap : SYS_mprotect, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        ALLOW,
    };
    struct sock_fprog program = {sizeof code / sizeof code[0], code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        abort();
}

int main(int argc, char **argv) {
    if (argc < 3) return 64;
    int file = open(argv[1], O_RDWR);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (shared == MAP_FAILED) return 1;
    kinds = argv[2];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct sigaction usr1 = {.sa_handler = on_usr1, .sa_flags = SA_ONSTACK}, rt = {.sa_handler = on_rt};
    struct sigaction usr2 = {.sa_handler = on_usr2};
    sigaction(SIGUSR1, &usr1, NULL);
    sigaction(SIGUSR2, &usr2, NULL);
    int has_filter = 0, ends_leader = 0;
    for (int i = 3; i < argc; i++) {
        if (!strcmp(argv[i], "seccomp-allow")) has_filter = 1;
        if (!strcmp(argv[i], "seccomp-no-mmap")) has_filter = 2;
        if (!strcmp(argv[i], "zombie-leader")) ends_leader = 1;
        if (!strcmp(argv[i], "handler")) rt.sa_flags = SA_RESTART, sigaction(SIGRTMIN, &rt, NULL);
    }
    int count = (int)strlen(kinds);
    for (int i = 1; i < count; i++) {
        pthread_t thread;
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 256 * 1024);
        if (pthread_create(&thread, &attributes, rounds, (void *)(intptr_t)i) != 0) return 2;
    }
    if (has_filter) filter(has_filter == 2);
    shared->ready = 1;
    if (ends_leader) pthread_exit(NULL);
    rounds(0);
}
