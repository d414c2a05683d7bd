//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A program that loads an old function and an image, writes the jump to the gate, and calls it with the state word at
/// 0 and 1; it also compares all registers and flags at a call's two ends.
enum ExecutionHelper {
    static let oldAddress: UInt64 = 0x1000_0000
    static let imageAddress: UInt64 = 0x2000_0000
    static let replacementOffset = 0x800
    static let statePointerOffset = 0x1000

    static let source = #"""
        #define _GNU_SOURCE
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/mman.h>

        static unsigned char *load(const char *name, unsigned long address) {
            unsigned char *place = mmap((void *)address, 0x2000, PROT_READ | PROT_WRITE | PROT_EXEC,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
            FILE *file = fopen(name, "r");
            if (place != (void *)address || !file) exit(9);
            if (fread(place, 1, 0x2000, file) == 0) exit(8);
            fclose(file);
            return place;
        }

        // 0-15: rax rbx rcx rdx rsi rdi rbp r8-r15 flags; 16: rsp; 17-20: what lies at and above rsp
        unsigned long given[21], taken[21], saved_stack;
        void *entry;
        void recorder(void);
        void probe(void);
        __asm__(
            ".text\n"
            "recorder:\n"
            "  mov %rax, taken(%rip)\n mov %rbx, 8+taken(%rip)\n mov %rcx, 16+taken(%rip)\n mov %rdx, 24+taken(%rip)\n"
            "  mov %rsi, 32+taken(%rip)\n mov %rdi, 40+taken(%rip)\n mov %rbp, 48+taken(%rip)\n"
            "  mov %r8, 56+taken(%rip)\n mov %r9, 64+taken(%rip)\n mov %r10, 72+taken(%rip)\n"
            "  mov %r11, 80+taken(%rip)\n mov %r12, 88+taken(%rip)\n mov %r13, 96+taken(%rip)\n"
            "  mov %r14, 104+taken(%rip)\n mov %r15, 112+taken(%rip)\n mov %rsp, 128+taken(%rip)\n"
            "  mov (%rsp), %rax\n mov %rax, 136+taken(%rip)\n mov 8(%rsp), %rax\n mov %rax, 144+taken(%rip)\n"
            "  pushfq\n pop 120+taken(%rip)\n cld\n ret\n"
            "probe:\n"
            "  push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n sub $8, %rsp\n"
            "  movq $0x5A5A5A, (%rsp)\n  movq $0x5A5A5A, 144+given(%rip)\n"
            "  lea -8(%rsp), %rax\n mov %rax, 128+given(%rip)\n lea 1f(%rip), %rax\n mov %rax, 136+given(%rip)\n"
            "  push 120+given(%rip)\n popfq\n"
            "  mov given(%rip), %rax\n mov 8+given(%rip), %rbx\n mov 16+given(%rip), %rcx\n mov 24+given(%rip), %rdx\n"
            "  mov 32+given(%rip), %rsi\n mov 40+given(%rip), %rdi\n mov 48+given(%rip), %rbp\n"
            "  mov 56+given(%rip), %r8\n mov 64+given(%rip), %r9\n mov 72+given(%rip), %r10\n"
            "  mov 80+given(%rip), %r11\n mov 88+given(%rip), %r12\n mov 96+given(%rip), %r13\n"
            "  mov 104+given(%rip), %r14\n mov 112+given(%rip), %r15\n"
            "  call *entry(%rip)\n"
            "1: add $8, %rsp\n pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n");

        int main(int count, char **arguments) {
            unsigned char *old = load(arguments[1], 0x10000000), *image = load(arguments[2], 0x20000000);
            unsigned char *jump = load(arguments[3], 0x30000000);
            unsigned long state = 0, *pointer = &state;
            memcpy(image + 0x1000, &pointer, 8);
            if (count > 4) {  // registers
                void (*target)(void) = recorder;
                memcpy(old + 0x100, &target, 8);
                memcpy(image + 0x1100, &target, 8);
                memcpy(old, jump, 5);
                entry = old;
                for (int round = 0; round < 64; round++) {
                    for (int i = 0; i < 15; i++) given[i] = 0x0123456789ABCDEFul * (i + 1) + round;
                    if (round % 4 == 1) given[2] = 0;  // rcx, which jrcxz looks at
                    // carry, parity, adjust, zero, sign, direction, overflow
                    static const int bits[7] = { 0, 2, 4, 6, 7, 10, 11 };
                    given[15] = 0x202;
                    for (int i = 0; i < 7; i++) given[15] |= (unsigned long)((round * 37 >> i) & 1) << bits[i];
                    state = (round & 1) ? (round & 2 ? ~0ul << 63 : 1) : 0;
                    memset(taken, 0xEE, sizeof taken);
                    probe();
                    if (memcmp(given, taken, 19 * 8)) {
                        for (int i = 0; i < 19; i++) printf("%d %lx %lx\n", i, given[i], taken[i]);
                        return 7;
                    }
                    printf("same\n");
                }
                return 0;
            }
            static const long values[] = { 0, 1, 5, -3, 1000000 };
            long (*function)(long) = (void *)old;
            for (int i = 0; i < 5; i++) printf("%ld ", function(values[i]));
            printf("\n");
            memcpy(old, jump, 5);
            for (state = 0; state < 2; state++) {
                for (int i = 0; i < 5; i++) printf("%ld ", function(values[i]));
                printf("\n");
            }
            return 0;
        }
        """#
}
