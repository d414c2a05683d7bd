//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import LivePatch
import PatchPlan
import ProcessInspection
import ProcessPatching
import TestSupport
import Testing

/// Processes that stand where they are hard to see, or cannot stand still yet.
@Suite(.serialized) struct StackTests {
    private func patcher(seconds: Double) -> Patcher {
        var options = PatchingOptions()
        options.timeout = Int64(seconds * 1e9)
        return Patcher(options: options, kernel: .current())
    }

    private func program(_ name: String, _ workshop: Workshop, _ source: String) throws -> String {
        try TestProgram.path(
            name, source: source,
            flags: [
                "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-Wl,--no-as-needed",
                "-L\(workshop.directory)",
                "-lone", "-ltwo", "-Wl,-rpath,\(workshop.directory)",
            ])
    }

    /// A signal interrupts what an old function called; the handler runs on another stack and has no unwind rules, so
    /// nothing leads back to the stack with the old function's frame.
    @Test func anOldFunctionOnTheStackBehind() throws {
        let workshop = try Workshop.shared.get()
        let path = try program(
            "behind", workshop,
            """
            #define _GNU_SOURCE
            #include <fcntl.h>
            #include <pthread.h>
            #include <signal.h>
            #include <stdint.h>
            #include <stdlib.h>
            #include <sys/mman.h>
            #include <sys/prctl.h>
            #include <sys/time.h>
            #include <unistd.h>
            uint64_t one_run(uint64_t number, unsigned turns);
            static volatile uint64_t *words;
            static void handle(int signal) {
                words[0] = 1;
                for (;;) words[8]++;
            }
            static void *sleeper(void *argument) { for (;;) pause(); }
            int main(int count, char **arguments) {
                words = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open(arguments[1], O_RDWR), 0);
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                pthread_t thread;
                sigset_t set;
                sigfillset(&set);
                sigprocmask(SIG_BLOCK, &set, 0);
                pthread_create(&thread, 0, sleeper, 0);
                sigprocmask(SIG_UNBLOCK, &set, 0);
                stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
                sigaltstack(&stack, 0);
                struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK};
                sigaction(SIGALRM, &action, 0);
                struct itimerval time = {{0, 0}, {0, 50000}};
                setitimer(ITIMER_REAL, &time, 0);
                one_run(1, 4000000000u);
                return 1;
            }
            """)
        let program = try Halves(workshop: workshop, program: path)
        // The interrupted function is one_mix, the one that is behind it on the stack is one_run.
        let file = try PatchFiles.file(workshop.patch("one", ["one_run"]))
        let report = patcher(seconds: 0.2).apply([file], to: try program.instance)
        #expect(
            report.outcome == .busy([BusyThread(thread: program.pid, function: "one_run", byScan: true)]),
            "\(report.outcome)")
        #expect(program.isAlive)
    }

    /// A thread in vfork cannot stop until its child lets go. It is waited for, by name, as long as the time lasts, and
    /// is not left standing when it wakes up later.
    @Test func aLongVfork() throws {
        let workshop = try Workshop.shared.get()
        let path = try program(
            "forker", workshop,
            """
            #define _GNU_SOURCE
            #include <fcntl.h>
            #include <pthread.h>
            #include <signal.h>
            #include <stdint.h>
            #include <sys/mman.h>
            #include <sys/prctl.h>
            #include <unistd.h>
            static volatile uint64_t *words;
            static void *sleeper(void *argument) { for (;;) pause(); }
            int main(int count, char **arguments) {
                words = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open(arguments[1], O_RDWR), 0);
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                pthread_t thread;
                pthread_create(&thread, 0, sleeper, 0);
                for (words[0] = 1;; words[8]++) {
                    if (vfork() == 0) {
                        usleep(2500000);
                        _exit(0);
                    }
                    usleep(500000);
                }
            }
            """)
        let program = try Halves(workshop: workshop, program: path)
        let file = try PatchFiles.file(workshop.patch("two", ["two_decode"], verdict: .automatic))
        guard case .notYet(let refusal) = patcher(seconds: 0.1).apply([file], to: try program.instance).outcome else {
            Issue.record("not told to wait")
            return
        }
        #expect(refusal.reason == .notNow)
        // Another process is being worked on meanwhile; the thread that wakes up must not stand still for that long.
        #expect(patcher(seconds: 20).apply([file], to: try program.instance).outcome == .done)
        let round = program.rounds[0]
        for _ in 0..<8000 where program.rounds[0] < round + 2 { usleep(1000) }
        #expect(program.rounds[0] >= round + 2)
    }

    /// Memory of the process that looks like a patch memory that was never filled, at the very place where one would go.
    @Test func foreignMemoryIsLeftAlone() throws {
        let workshop = try Workshop.shared.get()
        let path = try program(
            "foreign", workshop,
            """
            #define _GNU_SOURCE
            #include <fcntl.h>
            #include <stdint.h>
            #include <stdlib.h>
            #include <string.h>
            #include <sys/mman.h>
            #include <sys/prctl.h>
            #include <signal.h>
            #include <unistd.h>
            int main(int count, char **arguments) {
                volatile uint64_t *words =
                    mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open(arguments[1], O_RDWR), 0);
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                words[0] = 1;
                while (words[5] == 0) usleep(1000);
                size_t size = words[6];
                unsigned char *place = mmap((void *)words[5], size, PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
                memset(place + 8, 0xc3, size - 8);
                mprotect(place, size, PROT_READ | PROT_EXEC);
                words[4] = 1;
                for (;;) {
                    for (size_t index = 8; index < size; index++)
                        if (place[index] != 0xc3) words[2] = 1;
                    words[8]++;
                    usleep(1000);
                }
            }
            """)
        let file = try PatchFiles.file(workshop.patch("two", ["two_decode"], verdict: .automatic))
        let prefix = ["/usr/bin/setarch", "-R"]
        let first = try Halves(workshop: workshop, program: path, prefix: prefix)
        #expect(patcher(seconds: 20).apply([file], to: try first.instance).outcome == .done)
        let memory = try #require(
            try ProcessHandle(pid: first.pid).mappings().first { $0.isAnonymous && $0.isExecutable && !$0.isWritable })
        first.end()
        let second = try Halves(workshop: workshop, program: path, prefix: prefix)
        second.command(6, memory.range.upperBound - memory.range.lowerBound)
        second.command(5, memory.range.lowerBound)
        for _ in 0..<5000 where second.childAnswers.wrong == 0 { usleep(1000) }
        #expect(patcher(seconds: 20).apply([file], to: try second.instance).outcome == .done)
        for _ in 0..<2 {
            let round = second.rounds[0]
            for _ in 0..<5000 where second.rounds[0] == round { usleep(1000) }
        }
        #expect(second.childAnswers.old == 0, "the process's own code was overwritten")
        #expect(second.isAlive)
    }
}
