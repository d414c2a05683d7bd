//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// A function that can be made to fault on its second instruction, one byte behind its entry.

#ifdef NEW_VERSION
#define ANSWER "2"
#else
#define ANSWER "1"
#endif

__asm__(
    ".text\n"
    ".globl fault_read\n"
    ".type fault_read, @function\n"
    ".p2align 4\n"
    "fault_read:\n"
    ".cfi_startproc\n"
    "    nop\n"
    "    mov (%rdi), %eax\n"
    "    nop\n"
    "    nop\n"
    "    add $" ANSWER ", %eax\n"
    "    ret\n"
    "    nop\n"
    "    nop\n"
    "    nop\n"
    "    nop\n"
    "    nop\n"
    "    nop\n"
    "    nop\n"
    "    nop\n"
    ".cfi_endproc\n"
    ".size fault_read, . - fault_read\n");
