//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ProcessControl
import ProcessInspection
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// What happens in the process at the very moment when something is done to it.
@Suite(.serialized) struct RaceTests {
    /// Each thread makes the next one and ends: whoever was seen is gone before it can be seized, and the one that it
    /// made is in no list yet.
    @Test func threadsThatPassABaton() throws {
        let baton = try TestProgram.path(
            "baton",
            source: """
                #include <fcntl.h>
                #include <pthread.h>
                #include <signal.h>
                #include <stdint.h>
                #include <sys/mman.h>
                #include <sys/prctl.h>
                #include <unistd.h>
                static volatile uint64_t *shared;
                static pthread_attr_t detached;
                static void *run(void *unused) {
                    pthread_t next;
                    shared[8]++;
                    while (pthread_create(&next, &detached, run, 0) != 0) {}
                    return 0;
                }
                int main(int c, char **v) {
                    shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open(v[1], O_RDWR), 0);
                    prctl(PR_SET_PDEATHSIG, SIGKILL);
                    pthread_attr_init(&detached);
                    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
                    run(0);
                    shared[0] = 1;
                    for (;;) pause();
                }
                """)
        let victim = try Victim("1", program: baton)
        var process = ControlledProcess(try ProcessHandle(pid: victim.pid))
        var stops = 0
        for _ in 0..<2000 {
            do {
                try process.stopAll()
            } catch {
                guard error.isTransient else { throw error }
                continue
            }
            stops += 1
            let before = victim.progress
            usleep(200)
            let after = victim.progress
            process.resumeAll()
            try #require(after == before, "a thread ran in stop \(stops)")
        }
        #expect(stops > 100)
        #expect(victim.makesProgress())
    }

    /// SIGSTOP cannot be blocked: one that comes while a thread is borrowed still stops the process.
    @Test func aStopDuringABorrowIsNotLost() throws {
        let stopper = try TestProgram.path(
            "stopper",
            source: """
                #include <fcntl.h>
                #include <signal.h>
                #include <stdio.h>
                #include <stdlib.h>
                #include <string.h>
                #include <unistd.h>
                static int state(const char *path) {
                    char text[512];
                    int file = open(path, O_RDONLY);
                    ssize_t size = read(file, text, sizeof text - 1);
                    close(file);
                    if (size <= 0) exit(2);
                    text[size] = 0;
                    return strrchr(text, ')')[2];
                }
                int main(int c, char **v) {
                    int pid = atoi(v[1]), lost = 0;
                    char path[64];
                    snprintf(path, sizeof path, "/proc/%d/stat", pid);
                    for (int i = 0; i < 3000; i++) {
                        kill(pid, SIGSTOP);
                        int looks = 0;
                        while (state(path) != 'T' && ++looks < 3000) usleep(100);
                        if (looks == 3000) lost++;
                        kill(pid, SIGCONT);
                        usleep(i % 37 * 7);
                        if (lost > 2) break;
                    }
                    return lost != 0;
                }
                """)
        let victim = try Victim("S")
        var process = ControlledProcess(try ProcessHandle(pid: victim.pid))
        let child = try Command.spawn(stopper, ["\(victim.pid)"])
        var borrows = 0
        var status: Int32 = 0
        while waitpid(child, &status, WNOHANG) == 0 {
            do {
                #expect(try process.performSystemCall(39, []) == Int64(victim.pid))
                borrows += 1
            } catch {
                #expect(error.isTransient, "\(error)")
            }
        }
        #expect(borrows > 100)
        #expect(status == 0, "a SIGSTOP was lost")
        #expect(victim.makesProgress())
        #expect(victim.corrupt == 0)
    }

    /// The process starts its own program again, with memory at the same places: what was meant for the old memory
    /// must not reach the new one.
    @Test(arguments: [true, false]) func anExecveBeforeWritingAndBorrowing(usesProcessMemory: Bool) throws {
        let program = try TestProgram.path(
            "same-place",
            source: """
                #include <fcntl.h>
                #include <signal.h>
                #include <stdint.h>
                #include <sys/mman.h>
                #include <sys/prctl.h>
                #include <unistd.h>
                int main(int c, char **v) {
                    volatile uint64_t *shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open(v[1], O_RDWR), 0);
                    mmap((void *)0x10000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
                    prctl(PR_SET_PDEATHSIG, SIGKILL);
                    shared[0] = 1;
                    shared[9]++;
                    while (shared[8] != shared[9]) usleep(1000);
                    execv("/proc/self/exe", v);
                }
                """)
        let victim = try Victim("12", program: program)
        var limits = ControlledProcess.Limits()
        limits.usesProcessMemory = usesProcessMemory
        var process = ControlledProcess(try ProcessHandle(pid: victim.pid), limits: limits)
        #expect(try process.performSystemCall(39, []) == Int64(victim.pid))
        try process.write([1, 2, 3], at: 0x1000_0000)
        victim.setProgress(0, 1)
        for _ in 0..<2000 where victim.progress[1] != 2 { usleep(1000) }
        #expect(throws: ControlError.self) { try process.write([1, 2, 3], at: 0x1000_0000) }
        let new = try ProcessHandle(pid: victim.pid)
        #expect(try new.read(0x1000_0000, count: 3) == [0, 0, 0])
        let error = try #require(throws: ControlError.self) { try process.performSystemCall(39, []) }
        #expect(error.code == .reused, "\(error)")
        #expect(victim.isAlive)
    }
}
