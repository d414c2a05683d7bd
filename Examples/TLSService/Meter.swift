//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Glibc
import Synchronization

/// Measures from inside for how long the process stood still: a thread that does nothing but read the clock, in
/// bursts, and remembers the longest time between two readings.
///
/// On a machine with more to do than CPUs, such a gap is often nothing but the thread's wait for a CPU. The kernel
/// counts that wait (`/proc/thread-self/schedstat`, second number, Documentation/scheduler/sched-stats of Linux), so
/// the meter tells both: the gap, and the gap without it.
final class Meter: Sendable {
    private struct Burst {
        var running = false
        var longestGap: UInt64 = 0
        var longestGapOnCPU: UInt64 = 0
    }

    private let burst = Mutex(Burst())
    private let limit = Atomic<UInt64>(0)
    private let wakeUp = Atomic<Int32>(-1)

    /// Makes the metering thread; it sleeps until the first burst.
    func start() throws(ServiceError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw ServiceError(code: .system, reason: "no pipe can be made") }
        wakeUp.store(ends[1], ordering: .relaxed)
        let bell = ends[0]
        try startThread {
            var byte: UInt8 = 0
            while read(bell, &byte, 1) == 1 { self.measure() }
        }
    }

    /// Begins a burst of at most `milliseconds`, which `end` ends. Answers `started`.
    func begin(milliseconds: Int) throws(ServiceError) -> String {
        guard (1...30_000).contains(milliseconds) else {
            throw ServiceError(code: .usage, reason: "a burst takes 1 to 30000 ms")
        }
        let wasRunning = burst.withLock { state in
            let was = state.running
            if !was { state = Burst(running: true) }
            return was
        }
        if wasRunning { throw ServiceError(code: .usage, reason: "a burst is running") }
        limit.store(now() + UInt64(milliseconds) * 1_000_000, ordering: .releasing)
        var byte: UInt8 = 1
        write(wakeUp.load(ordering: .relaxed), &byte, 1)
        return "started"
    }

    /// Ends the burst. Answers `gap A B`: the longest gap in ns, and the longest without waits for a CPU.
    func end() -> String {
        limit.store(0, ordering: .releasing)
        while burst.withLock({ $0.running }) { usleep(200) }
        return burst.withLock { "gap \($0.longestGap) \($0.longestGapOnCPU)" }
    }

    private func measure() {
        let statistics = open("/proc/thread-self/schedstat", O_RDONLY)
        defer { if statistics >= 0 { close(statistics) } }
        var longest: UInt64 = 0
        var longestOnCPU: UInt64 = 0
        var waited = waitForCPU(statistics)
        var last = now()
        while last < limit.load(ordering: .acquiring) {
            let time = now()
            let gap = time - last
            last = time
            // Two readings of the clock are some 50 ns apart; only a thread that did not run shows more than this.
            if gap < 20_000 { continue }
            let total = waitForCPU(statistics)
            let onCPU = gap - min(gap, total - min(total, waited))
            waited = total
            longest = max(longest, gap)
            longestOnCPU = max(longestOnCPU, onCPU)
            last = now()
        }
        burst.withLock { $0 = Burst(running: false, longestGap: longest, longestGapOnCPU: longestOnCPU) }
    }

    /// How long this thread has waited for a CPU so far, in ns; 0 where the kernel does not tell.
    private func waitForCPU(_ statistics: Int32) -> UInt64 {
        guard statistics >= 0 else { return 0 }
        var buffer = [UInt8](repeating: 0, count: 96)
        let count = pread(statistics, &buffer, buffer.count, 0)
        guard count > 0 else { return 0 }
        let numbers = buffer.prefix(count).split(whereSeparator: { !(48...57).contains($0) })
        return numbers.count > 1 ? numbers[1].reduce(0) { $0 &* 10 &+ UInt64($1 - 48) } : 0
    }

    private func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
