//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Runs prologues and gates on the processor itself, as a second opinion and for instructions that the emulator
// does not know. Usage and output as those of emulate. A prologue that holds a system call is not run.
//
// Each run has a process of its own. A signal frame gives it its registers, the trap flag stops it after each
// instruction, and memory that it touches is mapped when it does. The segment registers are the run's too, so from
// then on nothing of the C library is called that has thread-local variables.

#define _GNU_SOURCE
#include "cases.h"
#include <asm/prctl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { ARRIVED, FAILED, TOO_LONG };
enum { PAGES = 256, WORDS = 512 };

struct written {
    word address, value;
};

struct end {
    int how;
    word detail, place, registers[16], flags;
    unsigned char vectors[16][32];
    int written_count;
    struct written written[WORDS];
};

static struct end *ends;
static struct end *ending;
static const struct run *running;
static struct start starting;
static word mapped[PAGES];
static int mapped_count;
static char handler_stack[1 << 16];

static const int general[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI, REG_R8,
    REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };
static const word trap_flag = 0x100;
// Flags that instructions of user space change: carry, parity, adjust, zero, sign, direction, overflow.
static const word compared_flags = 0xCD5;

// A system call without errno, which is thread-local.
static long call(long number, long a, long b, long c, long d, long e, long f) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static int map_page(word address) {
    word page = address & ~0xFFFul;
    for (int i = 0; i < mapped_count; i++)
        if (mapped[i] == page) return 1;
    if (mapped_count == PAGES) return 0;
    if (call(SYS_mmap, (long)page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (long)page)
        return 0;
    mapped[mapped_count++] = page;
    fill_page((unsigned char *)page, page);
    return 1;
}

// Where the upper halves of the vector registers lie in a signal frame, or NULL without AVX
// (Intel SDM volume 1, 13.4; the kernel's struct _fpx_sw_bytes at byte 464 says that there is more than 512 bytes).
static unsigned char *upper_halves(unsigned char *frame, word **header) {
    unsigned magic;
    word features;
    memcpy(&magic, frame + 464, 4);
    memcpy(&features, frame + 472, 8);
    if (magic != 0x46505853 || !(features & 4)) return NULL;
    *header = (word *)(frame + 512);
    return frame + 576;
}

// Writes a word into a page.
static void put(unsigned char *bytes, word page, word address, word value) {
    if ((address & ~0xFFFul) == page) memcpy(bytes + (address & 0xFFF), &value, 8);
}

// What lies on the stack when a function is entered. Below it lies what a gate pushes, also where there is no gate: so
// whatever is different in the end was written by the prologue.
static void put_stack(unsigned char *bytes, word page) {
    put(bytes, page, starting.registers[RSP], starting.return_address);
    put(bytes, page, starting.registers[RSP] - 8, starting.registers[RCX]);
}

// What the page would hold if the run had written nothing.
static void expected_page(unsigned char *bytes, word page) {
    fill_page(bytes, page);
    for (word i = 0; i < running->load_count; i++)
        for (word k = 0; k < running->loads[i].size; k++) {
            word address = running->loads[i].address + k;
            if ((address & ~0xFFFul) == page) bytes[address & 0xFFF] = running->loads[i].bytes[k];
        }
    put_stack(bytes, page);
}

static void finish(int how, word detail, word place, const ucontext_t *context) {
    ending->how = how;
    ending->detail = detail;
    ending->place = place;
    for (int i = 0; i < 16; i++) ending->registers[i] = (word)context->uc_mcontext.gregs[general[i]];
    ending->flags = (word)context->uc_mcontext.gregs[REG_EFL] & compared_flags;
    unsigned char *frame = (unsigned char *)context->uc_mcontext.fpregs;
    word *header = NULL;
    unsigned char *upper = upper_halves(frame, &header);
    for (int i = 0; i < 16; i++) {
        memcpy(ending->vectors[i], frame + 160 + 16 * i, 16);
        // A part that is in its initial state is not in the frame.
        if (upper && *header & 4) memcpy(ending->vectors[i] + 16, upper + 16 * i, 16);
    }
    for (int i = 0; i < mapped_count; i++) {
        unsigned char bytes[4096];
        expected_page(bytes, mapped[i]);
        for (int k = 0; k < 4096; k += 8) {
            word *now = (word *)(mapped[i] + (word)k);
            if (!memcmp(bytes + k, now, 8)) continue;
            if (ending->written_count == WORDS) call(SYS_exit_group, 3, 0, 0, 0, 0, 0);
            // By address: pages are mapped in the order in which a run touches them.
            int place = ending->written_count++;
            for (; place && ending->written[place - 1].address > (word)now; place--)
                ending->written[place] = ending->written[place - 1];
            ending->written[place] = (struct written){ (word)now, *now };
        }
    }
    call(SYS_exit_group, 0, 0, 0, 0, 0, 0);
}

static void on_signal(int number, siginfo_t *info, void *data) {
    ucontext_t *context = data;
    word instruction = (word)context->uc_mcontext.gregs[REG_RIP];
    if (number == SIGUSR1) {
        unsigned char *frame = (unsigned char *)context->uc_mcontext.fpregs;
        word *header = NULL;
        unsigned char *upper = upper_halves(frame, &header);
        for (int i = 0; i < 16; i++) {
            context->uc_mcontext.gregs[general[i]] = (greg_t)starting.registers[i];
            memcpy(frame + 160 + 16 * i, starting.vectors[i], 16);
            if (upper) memcpy(upper + 16 * i, starting.vectors[i] + 16, 16);
        }
        // Both parts are in the frame now.
        if (header) *header |= 6;
        context->uc_mcontext.gregs[REG_EFL] = (greg_t)(starting.flags | trap_flag);
        context->uc_mcontext.gregs[REG_RIP] = (greg_t)running->start;
        return;
    }
    if (number == SIGTRAP) {
        if (!is_inside(running, instruction)) finish(ARRIVED, 0, instruction, context);
        return;
    }
    if (number == SIGVTALRM) finish(TOO_LONG, 0, 0, context);
    // Where it leads to is not always mapped.
    if (number == SIGSEGV && !is_inside(running, instruction)) finish(ARRIVED, 0, instruction, context);
    if (number == SIGSEGV && info->si_code == SEGV_MAPERR && map_page((word)info->si_addr)) return;
    finish(FAILED, (word)number, position(running, instruction), context);
}

static void run_here(void) {
    static const int signals[] = { SIGUSR1, SIGTRAP, SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGVTALRM };
    struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    stack_t stack = { .ss_sp = handler_stack, .ss_size = sizeof handler_stack };
    sigset_t none;
    sigemptyset(&none);
    if (sigaltstack(&stack, NULL)) _exit(5);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (sigaction(signals[i], &action, NULL)) _exit(5);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (word i = 0; i < running->load_count; i++)
        for (word k = 0; k < running->loads[i].size; k++) {
            if (!map_page(running->loads[i].address + k)) _exit(7);
            *(unsigned char *)(running->loads[i].address + k) = running->loads[i].bytes[k];
        }
    word top = starting.registers[RSP];
    if (!map_page(top) || !map_page(top - 8)) _exit(7);
    put_stack((unsigned char *)(top & ~0xFFFul), top & ~0xFFFul);
    put_stack((unsigned char *)((top - 8) & ~0xFFFul), (top - 8) & ~0xFFFul);
    // A loop without end: half a minute of processor time, whatever else the machine does.
    struct itimerval limit = { .it_value = { .tv_sec = 30 } };
    if (setitimer(ITIMER_VIRTUAL, &limit, NULL)) _exit(5);
    pid_t self = getpid();
    if (call(SYS_arch_prctl, ARCH_SET_GS, (long)starting.segments[1], 0, 0, 0, 0)
        || call(SYS_arch_prctl, ARCH_SET_FS, (long)starting.segments[0], 0, 0, 0, 0))
        call(SYS_exit_group, 6, 0, 0, 0, 0, 0);
    call(SYS_kill, self, SIGUSR1, 0, 0, 0, 0);
    call(SYS_exit_group, 6, 0, 0, 0, 0, 0);
}

static const char *compare(const struct run *run, const struct end *first, const struct end *end) {
    if (run->kind == RUN_NEW) {
        if (end->how != ARRIVED || end->place != run->replacement) return "destination-of-gate";
        if (memcmp(end->registers, starting.registers, sizeof end->registers)) return "registers-by-gate";
        if (end->flags != (starting.flags & compared_flags)) return "flags-by-gate";
        if (memcmp(end->vectors, starting.vectors, sizeof end->vectors)) return "vectors-by-gate";
        return end->written_count ? "writes-by-gate" : NULL;
    }
    if (end->how != first->how) return "end";
    if (end->detail != first->detail) return "detail";
    if (end->place != first->place) return end->how == ARRIVED ? "destination" : "place";
    if (memcmp(end->registers, first->registers, sizeof end->registers)) return "registers";
    if (end->flags != first->flags) return "flags";
    if (memcmp(end->vectors, first->vectors, sizeof end->vectors)) return "vectors";
    if (end->written_count != first->written_count
        || memcmp(end->written, first->written, (size_t)end->written_count * sizeof *end->written))
        return "writes";
    return NULL;
}

// Whether an instruction of the original is syscall (0F 05), sysenter (0F 34) or int (CD).
static int calls_system(const struct run *run) {
    const struct load *code = &run->loads[0];
    for (word i = 0; i + 1 < run->place_count; i++) {
        const unsigned char *at = code->bytes + (run->places[i] - code->address);
        if (at[0] == 0xCD || (at[0] == 0x0F && (at[1] == 0x05 || at[1] == 0x34))) return 1;
    }
    return 0;
}

int main(int count, char **arguments) {
    if (count != 2) return 64;
    struct cases cases = open_cases(arguments[1]);
    // A child must not print what the parent has not printed yet: nothing in it ends by exit.
    ends = mmap(NULL, 2 * sizeof *ends, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (ends == MAP_FAILED) return 9;
    for (word index = 0; index < cases.case_count; index++) {
        word run_count, arrived = 0, faulted = 0, unknown = 0, destination_count = 0, last = 0;
        struct run *runs = next_case(&cases, &run_count);
        if (calls_system(&runs[0])) {
            printf("cannot system-call\n");
            free_case(runs, run_count);
            continue;
        }
        const char *difference = NULL;
        for (word number = 0; number < cases.state_count && !difference; number++) {
            starting = make_start(index, number);
            for (word i = 0; i < run_count && !difference; i++) {
                running = &runs[i];
                ending = &ends[i ? 1 : 0];
                memset(ending, 0, sizeof *ending);
                pid_t child = fork();
                if (child < 0) return 9;
                if (child == 0) run_here();
                int status;
                if (waitpid(child, &status, 0) != child || status) {
                    printf("differs %lu %lu ended-with-%x\n", number, i, (unsigned)status);
                    difference = "";
                } else if (i && (difference = compare(running, &ends[0], &ends[1])))
                    printf("differs %lu %lu %s: %d %lu %lx, original %d %lu %lx\n", number, i, difference,
                        ends[1].how, ends[1].detail, ends[1].place, ends[0].how, ends[0].detail, ends[0].place);
            }
            arrived += ends[0].how == ARRIVED;
            if (ends[0].how == ARRIVED && (!destination_count || ends[0].place != last)) {
                destination_count++;
                last = ends[0].place;
            }
            faulted += ends[0].how != ARRIVED;
            unknown += ends[0].how == FAILED && ends[0].detail == SIGILL;
        }
        if (!difference && arrived) printf("same %lu %lu %lu 0\n", arrived, faulted, destination_count);
        if (!difference && !arrived) printf("cannot %s\n", unknown ? "unknown-instruction" : "faults");
        free_case(runs, run_count);
    }
    return 0;
}
