//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// What the two programs that run prologues share: the file of cases, the states that a case starts from, and the
// contents of memory that nobody wrote.
//
// A case is several runs that are compared with its first one, which is the original. All numbers in the file are
// 64 bits, least significant byte first:
//   file: number of states, number of cases, cases
//   case: number of runs, runs
//   run:  kind, start, replacement, number of loads, loads, number of places, places, number of ranges, ranges
//   load: address, number of bytes, the bytes filled up to a multiple of 8
//   place: address of an instruction; range: first address, address behind the last

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long word;

enum {
    // Ends as the original does, with the same registers, reads and writes.
    RUN_SAME = 0,
    // A gate with its state word off: as the original, but for what the gate itself reads and writes.
    RUN_OLD = 1,
    // A gate with its state word on: arrives at the replacement with the registers that it was entered with.
    RUN_NEW = 2,
};

struct load {
    word address, size;
    const unsigned char *bytes;
};

struct range {
    word first, end;
};

struct run {
    word kind, start, replacement, load_count, place_count, range_count;
    struct load *loads;
    const word *places;
    const struct range *ranges;
};

struct cases {
    word state_count, case_count;
    const word *next;
};

static void *allocate(size_t size) {
    void *result = calloc(1, size ? size : 1);
    if (!result) exit(9);
    return result;
}

static struct cases open_cases(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file || fseek(file, 0, SEEK_END)) exit(8);
    long size = ftell(file);
    rewind(file);
    word *words = allocate((size_t)size);
    if (fread(words, 1, (size_t)size, file) != (size_t)size) exit(8);
    fclose(file);
    return (struct cases){ words[0], words[1], words + 2 };
}

// The runs of the next case.
static struct run *next_case(struct cases *cases, word *count) {
    const word *at = cases->next;
    *count = *at++;
    struct run *runs = allocate(*count * sizeof *runs);
    for (word i = 0; i < *count; i++) {
        struct run *run = &runs[i];
        run->kind = *at++;
        run->start = *at++;
        run->replacement = *at++;
        run->load_count = *at++;
        run->loads = allocate(run->load_count * sizeof *run->loads);
        for (word k = 0; k < run->load_count; k++) {
            run->loads[k] = (struct load){ at[0], at[1], (const unsigned char *)(at + 2) };
            at += 2 + (at[1] + 7) / 8;
        }
        run->place_count = *at++;
        run->places = at;
        at += run->place_count;
        run->range_count = *at++;
        run->ranges = (const struct range *)at;
        at += 2 * run->range_count;
    }
    cases->next = at;
    return runs;
}

static void free_case(struct run *runs, word count) {
    for (word i = 0; i < count; i++) free(runs[i].loads);
    free(runs);
}

static int is_inside(const struct run *run, word address) {
    for (word i = 0; i < run->range_count; i++)
        if (address >= run->ranges[i].first && address < run->ranges[i].end) return 1;
    return 0;
}

// Where a run ended, for comparing: the number of the instruction for a place inside, else the address.
static word position(const struct run *run, word address) {
    for (word i = 0; i < run->place_count; i++)
        if (run->places[i] == address) return i;
    return address;
}

// xorshift64*: the same numbers on every machine.
static word next_random(word *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545F4914F6CDD1Dul;
}

static word seeded(word a, word b) {
    word state = (a + 1) * 0x9E3779B97F4A7C15ul ^ (b + 1) * 0xC2B2AE3D27D4EB4Ful;
    if (!state) state = 1;
    next_random(&state);
    return state;
}

// What a page holds that nobody wrote: depends on its address only, so it is the same in all runs of a case.
// Each word is an address of user space, so that a pointer that is loaded can be followed.
static void fill_page(unsigned char *bytes, word page) {
    word state = seeded(page, 77);
    for (int i = 0; i < 4096; i += 8) {
        word value = next_random(&state) & 0x3FFFFFFFFFF8ul;
        memcpy(bytes + i, &value, 8);
    }
}

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };

struct start {
    // In the order of their encoding.
    word registers[16];
    word flags;
    word return_address;
    // Sixteen vector registers of 32 bytes.
    unsigned char vectors[16][32];
    // Bases of the segments fs and gs, where they can be set.
    word segments[2];
};

// The state number `number` of case number `index`.
static struct start make_start(word index, word number) {
    struct start start;
    word random = seeded(index, number * 1000003);
    word first = next_random(&random);
    for (int i = 0; i < 16; i++) {
        word value = next_random(&random);
        switch (number % 8) {
        case 1: value = 0; break;
        case 2: value &= 3; break;
        case 3: value = first & 0x3FFFFFFFFFF0ul; break;  // all the same
        case 4: value |= 1ul << 63; break;  // negative, and no address
        case 5: value = value % 512 - 256; break;
        default: value = (value & 0x3FFFFFFFFFFFul) | 0x100000000000ul; break;  // addresses
        }
        start.registers[i] = value;
    }
    // A stack pointer is always one: at a function's entry it is a multiple of 16, less 8 (psABI 3.2.2).
    start.registers[RSP] = 0x7BFD00000000ul + (next_random(&random) & 0xFFFFFF0) + 8;
    // Carry, parity, adjust, zero, sign, direction, overflow, and the bit that is always set.
    start.flags = (next_random(&random) & 0xCD5) | 0x202;
    start.return_address = 0x7E0000000000ul + (next_random(&random) & 0xFFFFFFFF);
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 32; k += 8) {
            word value = next_random(&random);
            // Half of them are ordinary numbers of floating point.
            if (number & 1) value = (value & 0x000FFFFFFFFFFFFFul) | 0x4010000000000000ul;
            memcpy(start.vectors[i] + k, &value, 8);
        }
    start.segments[0] = 0x7D0000000000ul + (next_random(&random) & 0xFFFFF000);
    start.segments[1] = 0x7C0000000000ul + (next_random(&random) & 0xFFFFF000);
    return start;
}
