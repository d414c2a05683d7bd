//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Runs prologues and gates in Unicorn. Usage: emulate FILE
// One line per case: "same ARRIVED FAULTED DESTINATIONS SYSCALLS", "cannot REASON" or "differs STATE RUN WHAT".

#include "cases.h"
#include <unicorn/unicorn.h>

enum { ARRIVED, FAILED, INTERRUPTED, TOO_LONG };
enum { ACCESSES = 4096, STEPS = 4096, PAGES = 8192 };

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

static bool map_page(word address) {
    word page = address & ~0xFFFul;
    for (int i = 0; i < mapped_count; i++)
        if (mapped[i] == page) return true;
    if (mapped_count == PAGES || uc_mem_map(engine, page, 4096, UC_PROT_ALL)) return false;
    mapped[mapped_count++] = page;
    unsigned char bytes[4096];
    fill_page(bytes, page);
    return uc_mem_write(engine, page, bytes, sizeof bytes) == 0;
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
    for (word i = 0; i < run->load_count; i++) {
        const struct load *load = &run->loads[i];
        for (word k = 0; k < load->size; k++)
            if (!map_page(load->address + k)) exit(7);
        if (uc_mem_write(engine, load->address, load->bytes, load->size)) exit(7);
    }
    word stack = start->registers[RSP];
    if (!map_page(stack) || uc_mem_write(engine, stack, &start->return_address, 8)) exit(7);
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

int main(int count, char **arguments) {
    if (count != 2) return 64;
    struct cases cases = open_cases(arguments[1]);
    uc_hook hook;
    uc_context *pristine;
    if (uc_open(UC_ARCH_X86, UC_MODE_64, &engine)) return 9;
    if (uc_hook_add(engine, &hook, UC_HOOK_MEM_UNMAPPED, on_missing, NULL, 1, 0)
        || uc_hook_add(engine, &hook, UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, on_access, NULL, 1, 0)
        || uc_hook_add(engine, &hook, UC_HOOK_CODE, on_instruction, NULL, 1, 0)
        || uc_hook_add(engine, &hook, UC_HOOK_INTR, on_interrupt, NULL, 1, 0)
        || uc_hook_add(engine, &hook, UC_HOOK_INSN, on_syscall, NULL, 1, 0, UC_X86_INS_SYSCALL)
        || uc_context_alloc(engine, &pristine) || uc_context_save(engine, pristine))
        return 9;
    static struct end first, other;
    for (word index = 0; index < cases.case_count; index++) {
        word run_count, arrived = 0, faulted = 0, destination_count = 0, syscalls = 0, unknown = 0;
        word destinations[256];
        struct run *runs = next_case(&cases, &run_count);
        const char *difference = NULL;
        for (word number = 0; number < cases.state_count && !difference; number++) {
            struct start start = make_start(index, number);
            for (word i = 0; i < run_count && !difference; i++) {
                struct end *end = i ? &other : &first;
                execute(&runs[i], &start, pristine, end);
                // The kinds of the gate are of interest also where the original cannot be run.
                if (i) difference = compare(&runs[i], &start, &first, end);
                if (difference)
                    printf("differs %lu %lu %s: %d %lu %lx, original %d %lu %lx\n", number, i, difference, end->how,
                        end->detail, end->place, first.how, first.detail, first.place);
            }
            if (first.how == FAILED && first.detail == UC_ERR_INSN_INVALID) unknown++;
            if (first.how != ARRIVED) {
                faulted++;
                continue;
            }
            arrived++;
            syscalls += first.syscalls != 0;
            word k = 0;
            while (k < destination_count && destinations[k] != first.place) k++;
            if (k == destination_count && k < 256) destinations[destination_count++] = first.place;
        }
        if (!difference && arrived) printf("same %lu %lu %lu %lu\n", arrived, faulted, destination_count, syscalls);
        if (!difference && !arrived && unknown) printf("cannot unknown-instruction\n");
        if (!difference && !arrived && !unknown) printf("cannot faults-%d-%lu\n", first.how, first.detail);
        free_case(runs, run_count);
    }
    return 0;
}
