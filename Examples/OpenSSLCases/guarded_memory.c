//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "guarded_memory.h"
#include "include/OpenSSLCases.h"
#include <openssl/crypto.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096 };
static const size_t arena_size = (size_t)16 << 30;

static int is_installed;
/// Where the next block goes; null while memory is not guarded.
static unsigned char *arena, *next;

int can_guard_memory(void) { return is_installed; }

void guard_memory(void) {
    void *memory = mmap(NULL, arena_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) abort();
    arena = next = memory;
}

static int is_guarded(const void *block) {
    return arena != NULL && (uintptr_t)block >= (uintptr_t)arena && (uintptr_t)block < (uintptr_t)arena + arena_size;
}

// A block: a page with its size, then pages at whose end the block ends, then a page that cannot be accessed.
static size_t pages_of(size_t size) { return (size + PAGE - 1) / PAGE * PAGE; }

static unsigned char *header_of(const void *block) {
    return (unsigned char *)((uintptr_t)block & ~(uintptr_t)(PAGE - 1)) - PAGE;
}

static size_t size_of(const void *block) {
    size_t size;
    memcpy(&size, header_of(block), sizeof size);
    return size;
}

static void *take(size_t size, const char *file, int line) {
    (void)file;
    (void)line;
    if (size == 0) return NULL;
    if (arena == NULL) return malloc(size);
    size_t room = (size_t)(arena + arena_size - next);
    if (size > room || pages_of(size) + 2 * PAGE > room) return NULL;
    if (mprotect(next, PAGE + pages_of(size), PROT_READ | PROT_WRITE) != 0) abort();
    memcpy(next, &size, sizeof size);
    unsigned char *block = next + PAGE + pages_of(size) - size;
    next += pages_of(size) + 2 * PAGE;
    return block;
}

static void give_back(void *block, const char *file, int line) {
    (void)file;
    (void)line;
    if (!is_guarded(block)) {
        // Blocks that the process itself took before the fork.
        free(block);
        return;
    }
    unsigned char *start = header_of(block);
    if (mprotect(start, PAGE + pages_of(size_of(block)), PROT_NONE) != 0) abort();
}

static void *change(void *block, size_t size, const char *file, int line) {
    if (block == NULL) return take(size, file, line);
    if (!is_guarded(block)) return realloc(block, size);
    if (size == 0) {
        give_back(block, file, line);
        return NULL;
    }
    void *moved = take(size, file, line);
    if (moved == NULL) return NULL;
    memcpy(moved, block, size < size_of(block) ? size : size_of(block));
    give_back(block, file, line);
    return moved;
}

int openssl_cases_guard_memory(void) {
    is_installed = CRYPTO_set_mem_functions(take, change, give_back);
    return is_installed;
}
