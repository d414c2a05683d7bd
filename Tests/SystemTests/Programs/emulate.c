//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Runs prologues and gates in Unicorn. Usage: emulate FILE
// One line per case: "same ARRIVED FAULTED DESTINATIONS SYSCALLS", "cannot REASON" or "differs STATE RUN WHAT".

#define _GNU_SOURCE
#include "cases.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unicorn/unicorn.h>
#include <unistd.h>

enum { ARRIVED, FAILED, INTERRUPTED, TOO_LONG };
enum { ACCESSES = 4096, STEPS = 4096, PAGES = 4096 };

struct access {
    word address, size, value;
};

// How a run ended.
struct end {
    int how;
    word detail, place, syscalls;
    word registers[16], flags, control[4];
    unsigned char vectors[16][16], stack[8][16];
    int read_count, write_count;
    struct access reads[ACCESSES], writes[ACCESSES];
};

static uc_engine *engine;
static const struct run *running;
static struct end *ending;
static word mapped[PAGES];
static unsigned char memory[PAGES][4096] __attribute__((aligned(4096)));
static int mapped_count, steps, is_stopped;

static const int general[16] = { UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX, UC_X86_REG_RSP,
    UC_X86_REG_RBP, UC_X86_REG_RSI, UC_X86_REG_RDI, UC_X86_REG_R8, UC_X86_REG_R9, UC_X86_REG_R10, UC_X86_REG_R11,
    UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15 };
static const int control[4] = { UC_X86_REG_FPCW, UC_X86_REG_FPSW, UC_X86_REG_FPTAG, UC_X86_REG_MXCSR };

static void stop(int how, word detail, word place) {
    if (is_stopped) return;
    is_stopped = 1;
    ending->how = how;
    ending->detail = detail;
    ending->place = place;
    uc_emu_stop(engine);
}

// The memory of a page, NULL if there can be none. Ours and not the emulator's: that would be new for each run.
static unsigned char *map_page(word address) {
    word page = address & ~0xFFFul;
    for (int i = 0; i < mapped_count; i++)
        if (mapped[i] == page) return memory[i];
    if (mapped_count == PAGES || uc_mem_map_ptr(engine, page, 4096, UC_PROT_ALL, memory[mapped_count])) return NULL;
    fill_page(memory[mapped_count], page);
    mapped[mapped_count] = page;
    return memory[mapped_count++];
}

static void load(word address, const void *bytes, word size) {
    for (word i = 0; i < size; i++) {
        unsigned char *page = map_page(address + i);
        if (!page) exit(7);
        page[(address + i) & 0xFFF] = ((const unsigned char *)bytes)[i];
    }
}

static bool on_missing(uc_engine *uc, uc_mem_type type, uint64_t address, int size, int64_t value, void *data) {
    (void)uc, (void)type, (void)value, (void)data;
    return map_page(address) && map_page(address + (word)size - 1);
}

static void on_access(uc_engine *uc, uc_mem_type type, uint64_t address, int size, int64_t value, void *data) {
    (void)uc, (void)data;
    int is_write = type == UC_MEM_WRITE;
    int *count = is_write ? &ending->write_count : &ending->read_count;
    if (*count == ACCESSES) return stop(TOO_LONG, 0, 0);
    word mask = size >= 8 ? ~0ul : (1ul << (8 * size)) - 1;
    (is_write ? ending->writes : ending->reads)[(*count)++] =
        (struct access){ address, (word)size, is_write ? (word)value & mask : 0 };
}

static void on_instruction(uc_engine *uc, uint64_t address, uint32_t size, void *data) {
    (void)uc, (void)size, (void)data;
    // An instruction outside is where the prologue leads; it is not executed.
    if (!is_inside(running, address)) stop(ARRIVED, 0, address);
    else if (++steps > STEPS) stop(TOO_LONG, 0, 0);
}

static void on_interrupt(uc_engine *uc, uint32_t number, void *data) {
    (void)uc, (void)data;
    stop(INTERRUPTED, number, 0);
}

// The kernel is not there: the call is noted with its registers and answered with a number. (A processor also leaves
// the next instruction's address in rcx, which the psABI, A.2.1, calls destroyed.)
static void on_syscall(uc_engine *uc, void *data) {
    (void)data;
    word sum = 0;
    for (int i = 0; i < 16; i++) {
        word value = 0;
        uc_reg_read(uc, general[i], &value);
        sum = seeded(sum, value);
    }
    ending->syscalls = seeded(ending->syscalls, sum);
    word answer = sum & 0xFFF;
    uc_reg_write(uc, UC_X86_REG_RAX, &answer);
}

static void execute(const struct run *run, const struct start *start, uc_context *pristine, struct end *end) {
    // Only what is compared; the lists are as long as their counts say.
    memset(end, 0, offsetof(struct end, reads));
    running = run;
    ending = end;
    steps = 0;
    is_stopped = 0;
    uc_context_restore(engine, pristine);
    for (word i = 0; i < run->load_count; i++) load(run->loads[i].address, run->loads[i].bytes, run->loads[i].size);
    load(start->registers[RSP], &start->return_address, 8);
    for (int i = 0; i < 16; i++) {
        uc_reg_write(engine, general[i], &start->registers[i]);
        uc_reg_write(engine, UC_X86_REG_XMM0 + i, start->vectors[i]);
    }
    uc_reg_write(engine, UC_X86_REG_RFLAGS, &start->flags);
    uc_reg_write(engine, UC_X86_REG_FS_BASE, &start->segments[0]);
    uc_reg_write(engine, UC_X86_REG_GS_BASE, &start->segments[1]);
    uc_err error = uc_emu_start(engine, run->start, 0, 0, 0);
    word instruction = 0;
    uc_reg_read(engine, UC_X86_REG_RIP, &instruction);
    if (!is_stopped) {
        end->how = FAILED;
        end->detail = error;
        end->place = position(run, instruction);
    } else if (end->how == INTERRUPTED) {
        end->place = position(run, instruction);
    }
    for (int i = 0; i < 16; i++) {
        uc_reg_read(engine, general[i], &end->registers[i]);
        uc_reg_read(engine, UC_X86_REG_XMM0 + i, end->vectors[i]);
    }
    for (int i = 0; i < 8; i++) uc_reg_read(engine, UC_X86_REG_ST0 + i, end->stack[i]);
    for (int i = 0; i < 4; i++) uc_reg_read(engine, control[i], &end->control[i]);
    uc_reg_read(engine, UC_X86_REG_RFLAGS, &end->flags);
    // Unicorn keeps its translation of code that is gone (2.0.1), and forgetting all of it takes long.
    for (word i = 0; i < run->range_count; i++)
        uc_ctl_remove_cache(engine, run->ranges[i].first, run->ranges[i].end);
    if (end->how == ARRIVED) uc_ctl_remove_cache(engine, end->place, end->place + 1);
    for (int i = 0; i < mapped_count; i++) uc_mem_unmap(engine, mapped[i], 4096);
    mapped_count = 0;
}

static int same_accesses(const struct access *a, int a_count, const struct access *b, int b_count) {
    return a_count == b_count && !memcmp(a, b, (size_t)a_count * sizeof *a);
}

// What is different, or NULL.
static const char *compare(const struct run *run, const struct start *start, const struct end *first,
    const struct end *end) {
    int own_reads = 0, own_writes = 0;
    if (run->kind != RUN_SAME) {
        // push rcx; two loads; pop rcx: that and nothing else.
        word below = start->registers[RSP] - 8;
        if (end->write_count < 1 || end->writes[0].address != below || end->writes[0].size != 8
            || end->writes[0].value != start->registers[RCX])
            return "first-write-of-gate";
        if (end->read_count < 3 || end->reads[2].address != below) return "reads-of-gate";
        own_reads = 3;
        own_writes = 1;
    }
    if (run->kind == RUN_NEW) {
        if (end->how != ARRIVED || end->place != run->replacement) return "destination-of-gate";
        if (end->write_count != own_writes || end->read_count != own_reads) return "accesses-of-gate";
        if (memcmp(end->registers, start->registers, sizeof end->registers)) return "registers-by-gate";
        if (end->flags != start->flags) return "flags-by-gate";
        for (int i = 0; i < 16; i++)
            if (memcmp(end->vectors[i], start->vectors[i], 16)) return "vectors-by-gate";
        return NULL;
    }
    if (end->how != first->how) return "end";
    if (end->detail != first->detail) return "detail";
    if (end->place != first->place) return end->how == ARRIVED ? "destination" : "place";
    if (end->how == TOO_LONG) return NULL;
    if (memcmp(end->registers, first->registers, sizeof end->registers)) return "registers";
    if (end->flags != first->flags) return "flags";
    if (memcmp(end->vectors, first->vectors, sizeof end->vectors)) return "vectors";
    if (memcmp(end->stack, first->stack, sizeof end->stack)) return "floating-point-stack";
    if (memcmp(end->control, first->control, sizeof end->control)) return "control";
    if (end->syscalls != first->syscalls) return "syscalls";
    if (!same_accesses(end->writes + own_writes, end->write_count - own_writes, first->writes, first->write_count))
        return "writes";
    if (!same_accesses(end->reads + own_reads, end->read_count - own_reads, first->reads, first->read_count))
        return "reads";
    return NULL;
}

// Runs one case and prints its line.
static void run_case(word index, const struct run *runs, word run_count, word state_count, uc_context *pristine) {
    static struct end first, other;
    word arrived = 0, faulted = 0, destination_count = 0, syscalls = 0, unknown = 0;
    word destinations[256];
    for (word number = 0; number < state_count; number++) {
        struct start start = make_start(index, number);
        for (word i = 0; i < run_count; i++) {
            struct end *end = i ? &other : &first;
            execute(&runs[i], &start, pristine, end);
            const char *difference = i ? compare(&runs[i], &start, &first, end) : NULL;
            if (!difference) continue;
            printf("differs %lu %lu %s: %d %lu %lx, original %d %lu %lx\n", number, i, difference, end->how,
                end->detail, end->place, first.how, first.detail, first.place);
            return;
        }
        if (first.how != ARRIVED) {
            faulted++;
            unknown += first.how == FAILED && first.detail == UC_ERR_INSN_INVALID;
            continue;
        }
        arrived++;
        syscalls += first.syscalls != 0;
        word k = 0;
        while (k < destination_count && destinations[k] != first.place) k++;
        if (k == destination_count && k < 256) destinations[destination_count++] = first.place;
    }
    if (arrived) printf("same %lu %lu %lu %lu\n", arrived, faulted, destination_count, syscalls);
    else if (unknown) printf("cannot unknown-instruction\n");
    else printf("cannot fault-%d-%lu\n", first.how, first.detail);
}

// Runs the cases from `*next` on; `*next` is always the one that is being run.
static void work(struct cases cases, volatile word *next) {
    uc_hook hook;
    uc_context *pristine;
    if (uc_open(UC_ARCH_X86, UC_MODE_64, &engine)
        || uc_hook_add(engine, &hook, UC_HOOK_MEM_UNMAPPED, on_missing, NULL, 1, 0)
        || uc_hook_add(engine, &hook, UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, on_access, NULL, 1, 0)
        || uc_hook_add(engine, &hook, UC_HOOK_CODE, on_instruction, NULL, 1, 0)
        || uc_hook_add(engine, &hook, UC_HOOK_INTR, on_interrupt, NULL, 1, 0)
        || uc_hook_add(engine, &hook, UC_HOOK_INSN, on_syscall, NULL, 1, 0, UC_X86_INS_SYSCALL)
        || uc_context_alloc(engine, &pristine) || uc_context_save(engine, pristine))
        _exit(9);
    word first = *next;
    for (word index = 0; index < cases.case_count; index++) {
        word run_count;
        struct run *runs = next_case(&cases, &run_count);
        if (index >= first) {
            // Should it never come back: half a minute of processor time, whatever else the machine does.
            struct itimerval limit = { .it_value = { .tv_sec = 30 } };
            if (setitimer(ITIMER_VIRTUAL, &limit, NULL)) _exit(9);
            run_case(index, runs, run_count, cases.state_count, pristine);
            fflush(stdout);
            *next = index + 1;
        }
        free_case(runs, run_count);
    }
    _exit(0);
}

int main(int count, char **arguments) {
    if (count != 2) return 64;
    struct cases cases = open_cases(arguments[1]);
    volatile word *next = mmap(NULL, sizeof *next, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (next == MAP_FAILED) return 9;
    // The emulator ends its process at some instructions that it does not know: then another one goes on.
    while (*next < cases.case_count) {
        pid_t child = fork();
        if (child < 0) return 9;
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            work(cases, next);
        }
        int status;
        if (waitpid(child, &status, 0) != child) return 9;
        if (WIFEXITED(status) && WEXITSTATUS(status)) return WEXITSTATUS(status);
        if (!WIFSIGNALED(status)) continue;
        printf("cannot emulator-ended-by-signal-%d\n", WTERMSIG(status));
        fflush(stdout);
        ++*next;
    }
    return 0;
}
