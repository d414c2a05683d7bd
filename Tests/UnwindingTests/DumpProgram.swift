//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A program that calls itself down a known chain, is interrupted by a signal at the very first instruction of a
/// function, handles it on an alternate stack and there writes its registers and stacks to a file.
enum DumpProgram {
    /// Names of the frames that lie in the program itself, innermost first, up to `start`.
    static let chain = ["dump", "handler_inner", "handler", "fault_here", "gamma", "beta", "alpha", "start"]

    static let source = #"""
        #define _GNU_SOURCE
        #include <alloca.h>
        #include <pthread.h>
        #include <signal.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <ucontext.h>
        #include <unistd.h>

        static const char *output;
        static char alternate[65536];
        static pthread_key_t key;

        static void put(FILE *file, const void *start, unsigned long size) {
            unsigned long head[2] = { (unsigned long)start, size };
            fwrite(head, sizeof head, 1, file);
            fwrite(start, size, 1, file);
        }

        __attribute__((noinline, noreturn)) static void dump(void) {
            static const int order[17] = { REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP,
                REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP };
            ucontext_t context;
            getcontext(&context);
            FILE *file = fopen(output, "w"), *maps = fopen("/proc/self/maps", "r");
            for (int i = 0; i < 17; i++) fwrite(&context.uc_mcontext.gregs[order[i]], 8, 1, file);
            char name[4096], line[4096];
            snprintf(name, sizeof name, "%s.maps", output);
            FILE *copy = fopen(name, "w");
            while (fgets(line, sizeof line, maps)) {
                unsigned long start, end, marker = (unsigned long)__builtin_frame_address(0);
                char mode[8];
                fputs(line, copy);
                if (sscanf(line, "%lx-%lx %7s", &start, &end, mode) != 3 || mode[1] != 'w') continue;
                unsigned long stack = (unsigned long)pthread_getspecific(key);
                if ((marker >= start && marker < end) || (stack >= start && stack < end) || strstr(line, "[stack]"))
                    put(file, (void *)start, end - start);
            }
            fclose(file);
            fclose(copy);
            _exit(0);
        }

        __attribute__((noinline)) static void handler_inner(int signal) {
            volatile char space[300];
            space[signal] = 1;
            dump();
        }
        static void handler(int signal) { handler_inner(signal); }

        void fault_here(void) __attribute__((noreturn));
        __asm__(
            ".text\n.type before_fault, @function\nbefore_fault:\n.cfi_startproc\nsub $136, %rsp\n"
            ".cfi_def_cfa_offset 144\nnop\n.cfi_endproc\n.size before_fault, . - before_fault\n"
            ".type fault_here, @function\nfault_here:\n.cfi_startproc\nud2\n.cfi_endproc\n"
            ".size fault_here, . - fault_here\n");

        // Ends with the call: the return address lies behind the function.
        __attribute__((noinline, noreturn)) static void gamma(int depth) {
            volatile int kept[50];
            kept[depth] = depth;
            fault_here();
        }
        __attribute__((noinline)) static int beta(int depth) {
            char *space = alloca(depth * 100);
            memset(space, depth, depth * 100);
            __asm__ volatile("" : : "r"(space) : "memory", "rbx", "r12", "r13", "r14", "r15");
            if (depth) gamma(depth);
            return space[3];
        }
        __attribute__((noinline)) static int alpha(int depth) {
            int result = beta(depth) + 1;
            __asm__ volatile("" : : : "memory", "rbx", "r12", "r13", "r14", "r15");
            return result;
        }
        __attribute__((noinline)) static void *start(void *value) {
            stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
            sigaltstack(&stack, 0);
            pthread_setspecific(key, &stack);
            return (void *)(long)alpha((int)(long)value);
        }
        int main(int count, char **arguments) {
            pthread_key_create(&key, 0);
            output = arguments[1];
            struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
            sigaction(SIGILL, &action, 0);
            if (arguments[2][0] == 't') {
                pthread_t thread;
                pthread_create(&thread, 0, start, (void *)3);
                pthread_join(thread, 0);
            }
            return (int)(long)start((void *)(long)(count));
        }
        """#
}
