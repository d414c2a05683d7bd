//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Runs prologues and gates on the processor itself, for instructions that the emulator does not know. Usage and output
// as those of emulate; nothing that makes a system call may be given to it.
//
// Each run has a process of its own. A signal frame gives it its registers, the trap flag stops it after each
// instruction, and memory that it touches is mapped when it does.

#define _GNU_SOURCE
#include "cases.h"
#include <signal.h>
#include <sys/mman.h>
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

static int map_page(word address) {
    word page = address & ~0xFFFul;
    for (int i = 0; i < mapped_count; i++)
        if (mapped[i] == page) return 1;
    if (mapped_count == PAGES) return 0;
    void *place = mmap((void *)page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (place != (void *)page) return 0;
    mapped[mapped_count++] = page;
    fill_page(place, page);
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

// What the page would hold if the run had written nothing.
static void expected_page(unsigned char *bytes, word page) {
    fill_page(bytes, page);
    for (word i = 0; i < running->load_count; i++)
        for (word k = 0; k < running->loads[i].size; k++) {
            word address = running->loads[i].address + k;
            if ((address & ~0xFFFul) == page) bytes[address & 0xFFF] = running->loads[i].bytes[k];
        }
    word stack = starting.registers[RSP];
    if ((stack & ~0xFFFul) == page) memcpy(bytes + (stack & 0xFFF), &starting.return_address, 8);
}

static int by_address(const void *a, const void *b) {
    word first = ((const struct written *)a)->address, second = ((const struct written *)b)->address;
    return first < second ? -1 : first > second;
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
            if (ending->written_count == WORDS) _exit(3);
            ending->written[ending->written_count++] = (struct written){ (word)now, *now };
        }
    }
    qsort(ending->written, (size_t)ending->written_count, sizeof *ending->written, by_address);
    _exit(0);
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
    if (number == SIGALRM) finish(TOO_LONG, 0, 0, context);
    // Where it leads to is not always mapped.
    if (number == SIGSEGV && !is_inside(running, instruction)) finish(ARRIVED, 0, instruction, context);
    if (number == SIGSEGV && info->si_code == SEGV_MAPERR && map_page((word)info->si_addr)) return;
    finish(FAILED, (word)number, position(running, instruction), context);
}

static void run_here(void) {
    static const int signals[] = { SIGUSR1, SIGTRAP, SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGALRM };
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
    memcpy((void *)top, &starting.return_address, 8);
    alarm(10);
    raise(SIGUSR1);
    _exit(6);
}

static const char *compare(const struct run *run, const struct end *first, struct end *end) {
    word below = starting.registers[RSP] - 8;
    if (run->kind != RUN_SAME) {
        // What the gate pushed; the original may have written there too, and then does so after the gate.
        int first_has = 0;
        for (int i = 0; i < first->written_count; i++) first_has |= first->written[i].address == below;
        for (int i = 0; i < end->written_count && (run->kind == RUN_NEW || !first_has); i++) {
            if (end->written[i].address != below) continue;
            if (end->written[i].value != starting.registers[RCX]) return "first-write-of-gate";
            memmove(&end->written[i], &end->written[i + 1],
                (size_t)(--end->written_count - i) * sizeof *end->written);
        }
    }
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

int main(int count, char **arguments) {
    if (count != 2) return 64;
    struct cases cases = open_cases(arguments[1]);
    ends = mmap(NULL, 2 * sizeof *ends, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (ends == MAP_FAILED) return 9;
    for (word index = 0; index < cases.case_count; index++) {
        word run_count, arrived = 0, faulted = 0, unknown = 0;
        struct run *runs = next_case(&cases, &run_count);
        const char *difference = NULL;
        for (word number = 0; number < cases.state_count && !difference; number++) {
            starting = make_start(index, number);
            for (word i = 0; i < run_count && !difference; i++) {
                running = &runs[i];
                ending = &ends[i ? 1 : 0];
                memset(ending, 0, sizeof *ending);
                fflush(stdout);
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
            faulted += ends[0].how != ARRIVED;
            unknown += ends[0].how == FAILED && ends[0].detail == SIGILL;
        }
        if (!difference && arrived) printf("same %lu %lu 0 0\n", arrived, faulted);
        if (!difference && !arrived) printf("cannot %s\n", unknown ? "unknown-instruction" : "faults");
        free_case(runs, run_count);
    }
    return 0;
}
