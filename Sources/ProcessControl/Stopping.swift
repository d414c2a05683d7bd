//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import CLinux
internal import ProcessInspection

/// The way from a running process to a stopped one.
struct Stopping {
    let pid: Int32
    let limits: ControlledProcess.Limits
    /// Other thread groups that use the memory.
    private(set) var sharers: MemorySharers
    /// Seized and asked to stop, or soon to be.
    private var pending: [(tid: Int32, process: Int32)] = []
    private var interrupted = 0
    private var known: Set<Int32> = []
    /// Seen, and gone before they could be seized.
    private var ended: Set<Int32> = []
    private(set) var stopped: [StoppedThread] = []
    private var groups: [Int32] { [pid] + sharers.pids }

    init(pid: Int32, limits: ControlledProcess.Limits, sharers: MemorySharers) {
        self.pid = pid
        self.limits = limits
        self.sharers = sharers
    }

    /// Attaches to all threads there are, without stopping any: costs nothing in the window.
    mutating func seizeAll(_ process: borrowing ProcessHandle) throws(ControlError) {
        _ = sharers.update(process)
        do {
            _ = try seizeNew(process)
        } catch {
            abandon()
            throw error
        }
    }

    /// Interrupts and waits until nothing new is found.
    mutating func stopAll(_ process: borrowing ProcessHandle, since start: Int64) throws(ControlError) {
        let deadline = start + limits.stop
        var foundNew = true
        while foundNew {
            for index in interrupted..<pending.count { _ = clinux_ptrace_interrupt(pending[index].tid) }
            interrupted = pending.count
            while let (tid, group) = pending.first {
                try stop(tid, of: group, process, until: deadline)
                pending.removeFirst()
                interrupted -= 1
            }
            // A thread that was making another when it was interrupted finished that first, so one more look that
            // finds nothing is the proof: with every known thread stopped nobody makes new ones.
            foundNew = try seizeNew(process)
            if sharers.update(process) { foundNew = try seizeNew(process) || foundNew }
            if foundNew, Int64(clinux_monotonic()) > deadline {
                throw ControlError(.stopTimedOut, "process \(pid) makes threads faster than they can be stopped")
            }
        }
    }

    /// Lets go of everything that was seized.
    mutating func abandon() {
        // Those that have stopped first: others may wait for them (vfork).
        let late = StopWindow.detach(stopped)
        for index in interrupted..<pending.count { _ = clinux_ptrace_interrupt(pending[index].tid) }
        Seizing.letGoLater(late + pending.map(\.tid))
        stopped = []
        pending = []
        interrupted = 0
        known = []
        ended = []
    }

    /// Seizes threads that are not known yet; whether there were any, or may be.
    private mutating func seizeNew(_ process: borrowing ProcessHandle) throws(ControlError) -> Bool {
        var foundNew = false
        for group in groups {
            let tids = threadIDs(of: group, process)
            // The list breaks off where a thread ends while it is read; then the number of threads is another.
            if let count = threadCount(of: group, process), count != tids.count { foundNew = true }
            for tid in tids where !known.contains(tid) {
                let isSeized = group == pid ? try Seizing.seize(tid, of: process) : try seizeSharer(tid, group)
                guard isSeized else {
                    // What it made before it ended may not have been in the list yet. (A leader that has ended stays.)
                    if ended.insert(tid).inserted || tid != group { foundNew = true }
                    continue
                }
                known.insert(tid)
                pending.append((tid, group))
                foundNew = true
            }
        }
        return foundNew
    }

    private func threadIDs(of group: Int32, _ process: borrowing ProcessHandle) -> [Int32] {
        if group == pid { return (try? process.threadIDs()) ?? [] }
        guard let sharer = try? ProcessHandle(pid: group) else { return [] }
        return (try? sharer.threadIDs()) ?? []
    }

    private func threadCount(of group: Int32, _ process: borrowing ProcessHandle) -> Int? {
        if group == pid { return try? process.threadCount() }
        guard let sharer = try? ProcessHandle(pid: group) else { return nil }
        return try? sharer.threadCount()
    }

    private func seizeSharer(_ tid: Int32, _ group: Int32) throws(ControlError) -> Bool {
        guard let sharer = try? ProcessHandle(pid: group) else { return false }
        return try Seizing.seize(tid, of: sharer)
    }

    /// Waits for one thread and reads its registers.
    private mutating func stop(
        _ tid: Int32, of group: Int32, _ process: borrowing ProcessHandle, until deadline: Int64
    ) throws(ControlError) {
        var isInVFork = false
        var hasEnded = false
        let groupsNow = groups
        let event = Tracee.wait(tid, until: deadline) {
            guard let thread = try? process.thread(tid) else {
                // Threads of sharers are not in the process's own directory.
                hasEnded = group == pid
                return hasEnded
            }
            hasEnded = thread.state == 0x5a || thread.state == 0x58
            // An uninterruptible sleep with a child in the same memory: vfork. It ends when the child lets go.
            isInVFork = thread.state == 0x44 && (groupsNow.count > 1 || !process.sharers().isEmpty)
            return hasEnded || isInVFork
        }
        let stop: StoppedThread.Stop
        switch event {
        case .ended: return
        case .timedOut where hasEnded:
            // Seen as ended before the wait could bring it: unless its end is taken it stays a zombie of ours, and its
            // process cannot be waited for.
            Seizing.letGoLater([tid])
            return
        case .timedOut where isInVFork:
            throw ControlError(.vfork, "thread \(tid) waits for a child made by vfork to start its program", tid: tid)
        case .timedOut:
            throw ControlError(.stopTimedOut, "thread \(tid) did not stop in time", tid: tid)
        case .eventStop(let signal): stop = signal == Kernel.trap ? .interrupted : .group(signal)
        case .signalDelivery(let signal): stop = .signal(signal)
        case .systemCall: stop = .interrupted
        }
        // In a group stop EINTR came from the signal that began it, and would have come without us.
        var isGroupStop = false
        if case .group = stop { isGroupStop = true }
        guard let registers = isGroupStop ? Tracee.registers(tid) : Tracee.settledRegisters(tid) else {
            // Killed while it was stopped.
            Seizing.letGoLater([tid])
            return
        }
        stopped.append(
            StoppedThread(
                tid: tid, process: group, stop: stop, registers: registers,
                restartableSequence: RestartableSequence.current(tid, registers, process)))
        guard registers.cs == 0x33 else {
            throw ControlError(.compat32Bit, "thread \(tid) of process \(pid) runs 32-bit code", tid: tid)
        }
    }
}

/// The thread groups that share a process's memory: all processes are looked at once, later only those that are new.
struct MemorySharers {
    private(set) var pids: [Int32] = []
    private var seen: LastProcessID

    init(_ process: borrowing ProcessHandle) {
        // First the id, then the look: what comes in between is looked at twice.
        seen = LastProcessID()
        pids = process.sharers()
    }

    /// Looks at processes made since the last time; whether one of them shares the memory. Those that do no longer are
    /// dropped.
    mutating func update(_ process: borrowing ProcessHandle) -> Bool {
        let now = LastProcessID()
        let candidates = now.created(since: seen) ?? []
        seen = now
        let known = pids
        if !pids.isEmpty { pids = process.sharers(among: pids) }
        let new = candidates.isEmpty ? [] : process.sharers(among: candidates.filter { !known.contains($0) })
        pids += new
        return !new.isEmpty
    }
}

/// The newest process id of our pid namespace: if it is still the same, no task was made anywhere meanwhile.
struct LastProcessID {
    private let value: Int32?

    init() {
        value = SystemFacts.lastProcessID()
    }

    /// Ids given to tasks since `before`; nil if there are none.
    func created(since before: LastProcessID) -> [Int32]? {
        guard let value, let old = before.value else { return try? ProcessList.pids() }
        if value == old { return nil }
        // Ids begin anew at the end of their range; many new ones are better looked up.
        guard value > old, value - old <= 64 else { return try? ProcessList.pids() }
        return Array((old + 1)...value)
    }
}

/// Restartable sequences (rseq(2)).
enum RestartableSequence {
    /// The critical section that the thread is in, nil if in none. A thread in a system call is in none.
    static func current(
        _ tid: Int32, _ registers: Registers, _ process: borrowing ProcessHandle
    ) -> Range<UInt64>? {
        guard !registers.isInSystemCall else { return nil }
        var address: UInt64 = 0
        var size: UInt32 = 0
        guard unsafe clinux_ptrace_get_rseq(tid, &address, &size) >= 0, address != 0 else { return nil }
        // struct rseq: rseq_cs at 8. struct rseq_cs: start_ip at 8, post_commit_offset at 16.
        guard let pointer = word(address &+ 8, process), pointer != 0, let start = word(pointer &+ 8, process),
            let length = word(pointer &+ 16, process)
        else { return nil }
        let (end, overflow) = start.addingReportingOverflow(length)
        guard !overflow, (start..<end).contains(registers.rip) else { return nil }
        return start..<end
    }

    private static func word(_ address: UInt64, _ process: borrowing ProcessHandle) -> UInt64? {
        let bytes = process.readAvailable(address, count: 8)
        guard bytes.count == 8 else { return nil }
        return (0..<8).reduce(0) { $0 | UInt64(bytes[$1]) << UInt64(8 * $1) }
    }
}
