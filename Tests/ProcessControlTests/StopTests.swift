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

/// Stopping and going on: nobody notices.
@Suite(.serialized) struct StopTests {
    private func control(_ victim: Victim) throws -> ControlledProcess {
        ControlledProcess(try ProcessHandle(pid: victim.pid), limits: patient)
    }

    /// A machine that is busy with other things lets threads wait for a processor.
    private var patient: ControlledProcess.Limits {
        var limits = ControlledProcess.Limits()
        limits.stop = 10_000_000_000
        return limits
    }

    @Test(arguments: [1, 8, 64]) func everyThreadStopsAndGoesOn(count: Int) throws {
        let kinds = String((0..<count).map { index in Array("Snpr")[index % 4] })
        let victim = try Victim(kinds)
        var process = try control(victim)
        for _ in 0..<5 {
            try process.stopAll()
            #expect(process.threads.count == count)
            #expect(Set(process.threads.map(\.tid)).count == count)
            let before = victim.progress
            usleep(3000)
            #expect(victim.progress == before)
            #expect(process.resumeAll() >= 3_000_000)
            let isStopped = process.isStopped
            #expect(!isStopped)
        }
        #expect(victim.makesProgress())
        #expect(victim.interrupted == 0 && victim.unexpected == 0)
    }

    /// Calls that return EINTR after any stop restart; 100 stops, so that each is met.
    @Test func noCallSeesTheStop() throws {
        let victim = try Victim("SeEnpFrRmtuUcf")
        var process = try control(victim)
        for _ in 0..<100 {
            try process.stopAll()
            process.resumeAll()
            usleep(4000)
        }
        #expect(victim.interrupted == 0, "\(victim.lastWrong)")
        #expect(victim.unexpected == 0, "\(victim.lastWrong)")
        #expect(victim.makesProgress(except: [12, 13]))
    }

    @Test func signalsArriveOnceEach() throws {
        let sender = try TestProgram.path(
            "sender",
            source: """
                #define _GNU_SOURCE
                #include <signal.h>
                #include <stdlib.h>
                #include <time.h>
                #include <errno.h>
                int main(int c, char **v) {
                    union sigval value = {0};
                    for (int i = 0; i < atoi(v[2]); i++) {
                        while (sigqueue(atoi(v[1]), SIGRTMIN, value) != 0 && errno == EAGAIN) {}
                        struct timespec pause = {0, 200000};
                        nanosleep(&pause, 0);
                    }
                }
                """)
        let victim = try Victim("SSaa", options: ["handler"])
        let child = try Command.spawn(sender, ["\(victim.pid)", "3000"])
        var process = try control(victim)
        var stops = 0
        var signalStops = 0
        while waitpid(child, nil, WNOHANG) == 0 {
            try process.stopAll()
            stops += 1
            for thread in process.threads {
                if case .signal = thread.stop { signalStops += 1 }
            }
            process.resumeAll()
            usleep(200)
        }
        #expect(stops > 50)
        // Some of them came just when the thread was to stop.
        #expect(signalStops > 0)
        for _ in 0..<2000 where victim.handled < 3000 { usleep(1000) }
        #expect(victim.handled == 3000)
        #expect(victim.corrupt == 0)
        #expect(victim.makesProgress())
    }

    @Test func aStoppedProcessStaysStopped() throws {
        let victim = try Victim("Snp")
        kill(victim.pid, SIGSTOP)
        for _ in 0..<1000 where victim.states != "TTT" { usleep(1000) }
        #expect(victim.states == "TTT")
        var info = siginfo_t()
        #expect(waitid(P_PID, id_t(victim.pid), &info, WSTOPPED) == 0)
        var process = try control(victim)
        try process.stopAll()
        #expect(process.threads.count == 3)
        for thread in process.threads { #expect(thread.stop == .group(SIGSTOP)) }
        process.resumeAll()
        for _ in 0..<1000 where victim.states != "TTT" { usleep(1000) }
        #expect(victim.states == "TTT")
        let before = victim.progress
        usleep(50_000)
        #expect(victim.progress == before)
        kill(victim.pid, SIGCONT)
        #expect(victim.makesProgress())
    }

    @Test func aTracedProcessIsRefused() throws {
        let tracer = try TestProgram.path(
            "tracer",
            source: """
                #include <sys/ptrace.h>
                #include <stdlib.h>
                #include <unistd.h>
                int main(int c, char **v) {
                    if (ptrace(PTRACE_SEIZE, atoi(v[1]), 0, 0) != 0) return 1;
                    for (;;) pause();
                }
                """)
        let victim = try Victim("Sn")
        let child = try Command.spawn(tracer, ["\(victim.pid)"])
        defer {
            kill(child, SIGKILL)
            Command.wait(child)
        }
        let handle = try ProcessHandle(pid: victim.pid)
        for _ in 0..<2000 where handle.tracer(of: victim.pid) != child { usleep(1000) }
        let verdict = handle.patchability(under: .current())
        #expect(verdict.reasons.map(\.obstacle) == [.tracedByOther])
        var process = ControlledProcess(handle, limits: patient)
        let error = try #require(throws: ControlError.self) { try process.stopAll() }
        #expect(error.code == .tracedByOther)
        #expect(error.reason.contains("\(child)"))
        #expect(victim.makesProgress())
    }

    /// Threads and children that come and go while we stop: all caught, none left traced.
    @Test func stormsOfThreadsAndChildren() throws {
        let victim = try Victim("TTTTkkS")
        var process = try control(victim)
        for _ in 0..<100 {
            try process.stopAll()
            #expect(process.threads.count >= 7)
            // Not one runs: each is traced (t) or has ended.
            let running = try process.process.threads().filter { ![0x74, 0x5a, 0x58].contains($0.state) }
            #expect(running.isEmpty)
            let before = victim.progress
            usleep(500)
            #expect(victim.progress == before)
            process.resumeAll()
        }
        #expect(victim.makesProgress())
        #expect(victim.unexpected == 0 && victim.interrupted == 0, "\(victim.lastWrong)")
        #expect(!victim.states.contains("t"))
    }

    /// While a child made by vfork lives in the process's memory its parent cannot stop: refused for now, and by name.
    @Test func vforkIsWaitedFor() throws {
        let victim = try Victim("vSS")
        var process = try control(victim)
        var codes: Set<String> = []
        // Pauses of many lengths: with one length the attempts could keep step with the child.
        for round in 0..<2000 where codes != ["stopped", "vfork"] {
            do {
                try process.stopAll()
                process.resumeAll()
                codes.insert("stopped")
            } catch {
                codes.insert(error.code.rawValue)
            }
            usleep(UInt32(500 + round % 97 * 70))
        }
        #expect(codes == ["stopped", "vfork"])
        #expect(!victim.states.contains("t"))
        #expect(victim.makesProgress())
        #expect(victim.unexpected == 0, "\(victim.lastWrong)")
    }

    /// A task of another thread group in the same memory is stopped too.
    @Test func sharersOfTheMemoryStop() throws {
        let sharer = try TestProgram.path(
            "sharer",
            source: """
                #define _GNU_SOURCE
                #include <sched.h>
                #include <signal.h>
                #include <stdint.h>
                #include <stdlib.h>
                #include <fcntl.h>
                #include <sys/mman.h>
                #include <sys/prctl.h>
                static volatile uint64_t *shared;
                static int child(void *unused) {
                    prctl(PR_SET_PDEATHSIG, SIGKILL);
                    for (;;) shared[9]++;
                }
                int main(int c, char **v) {
                    shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open(v[1], O_RDWR), 0);
                    char *stack = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                    prctl(PR_SET_PDEATHSIG, SIGKILL);
                    if (clone(child, stack + 65536, CLONE_VM | SIGCHLD, 0) < 0) return 1;
                    shared[0] = 1;
                    for (;;) shared[8]++;
                }
                """)
        let victim = try Victim("12", program: sharer)
        var process = try control(victim)
        for _ in 0..<10 {
            try process.stopAll()
            #expect(process.threads.count == 2)
            #expect(Set(process.threads.map(\.process)).count == 2)
            let before = victim.progress
            usleep(3000)
            #expect(victim.progress == before)
            process.resumeAll()
        }
        #expect(victim.makesProgress())
    }

    @Test func anEndDuringTheStop() throws {
        let victim = try Victim("SSnn")
        var process = try control(victim)
        try process.stopAll()
        kill(victim.pid, SIGKILL)
        process.resumeAll()
        Command.wait(victim.pid)
        #expect(kill(victim.pid, 0) == -1 && errno == ESRCH)
        let error = try #require(throws: ControlError.self) { try process.stopAll() }
        #expect(error.code == .exited)
    }

    @Test func theMainThreadMayHaveEnded() throws {
        let victim = try Victim("SSen", options: ["zombie-leader"])
        for _ in 0..<2000 where !victim.states.contains("Z") { usleep(1000) }
        var process = try control(victim)
        try process.stopAll()
        #expect(process.threads.count == 3)
        process.resumeAll()
        #expect(try process.process.loadedObjects().contains { $0.kind == .executable })
        let pid = try process.performSystemCall(39, [])
        #expect(pid == Int64(victim.pid))
        #expect(victim.makesProgress(except: [0]))
    }

    /// Whatever happens to the value, the process runs on.
    @Test func lettingGoWithoutAWord() throws {
        let victim = try Victim("Sn")
        do {
            var process = try control(victim)
            try process.stopAll()
            let isStopped = process.isStopped
            #expect(isStopped)
        }
        #expect(victim.makesProgress())
        #expect(!victim.states.contains("t"))
    }

    @Test func priorityIsBackAfterwards() throws {
        let victim = try Victim("S")
        let before = sched_getscheduler(0)
        var process = try control(victim)
        try process.stopAll()
        if getuid() == 0 { #expect(sched_getscheduler(0) & 0xff == SCHED_FIFO) }
        process.resumeAll()
        #expect(sched_getscheduler(0) == before)
    }

    /// Another user, and a root that lost the capability: refused by name.
    @Test(arguments: [
        ["--reuid=65534", "--regid=65534", "--clear-groups"], ["--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"],
    ]) func noPrivilege(options: [String]) throws {
        try #require(getuid() == 0)
        let probe = "\(TestProgram.directory)/probe"
        let original = try KillHarness.executable("moult-control-probe")
        _ = try Command.run("/usr/bin/install", ["-m", "755", original, probe])
        chmod(TestProgram.directory, 0o755)
        let victim = try Victim("S")
        let result = try Command.run("/usr/bin/setpriv", options + [probe, "\(victim.pid)", "stop"])
        #expect(result.output.contains("noPrivilege"), "\(result.output)")
        #expect(victim.makesProgress())
    }

    @Test func anExecveIsNoticed() throws {
        let program = try TestProgram.path(
            "again",
            source: """
                #include <fcntl.h>
                #include <signal.h>
                #include <stdint.h>
                #include <sys/mman.h>
                #include <sys/prctl.h>
                #include <unistd.h>
                int main(int c, char **v) {
                    volatile uint64_t *shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open(v[1], O_RDWR), 0);
                    prctl(PR_SET_PDEATHSIG, SIGKILL);
                    shared[0] = 1;
                    shared[9]++;
                    while (shared[8] != shared[9]) usleep(1000);
                    execv("/proc/self/exe", v);
                }
                """)
        let victim = try Victim("12", program: program)
        let handle = try ProcessHandle(pid: victim.pid)
        var process = ControlledProcess(handle, limits: patient)
        try process.stopAll()
        process.resumeAll()
        victim.setProgress(0, 1)
        for _ in 0..<2000 where victim.progress[1] != 2 { usleep(1000) }
        // The same pid, start time and executable, but another memory.
        let error = try #require(throws: ControlError.self) { try process.stopAll() }
        #expect(error.code == .reused)
        #expect(throws: ControlError.self) { try process.write([0], at: 0x1000) }
    }
}
