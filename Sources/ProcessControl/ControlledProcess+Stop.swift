//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import CLinux
internal import ProcessInspection

// Stopping all threads and letting them go.
extension ControlledProcess {
    /// Stops every task that uses the process's memory: interrupts all, then waits for all, until a look finds no new
    /// one. Interrupted system calls will restart, as if nothing had been.
    ///
    /// On return nothing runs in the process's memory, the memory is still that of `process`, and `threads` holds the
    /// registers of each.
    ///
    /// - Throws: `exited`, `reused`, `tracedByOther`, `noPrivilege`, `compat32Bit`, `stopTimedOut`, `vfork`, `misuse`;
    ///   everything runs again then.
    package mutating func stopAll() throws(ControlError) {
        guard !isStopped else { throw ControlError(.misuse, "the process is stopped already") }
        try check()
        var stopping = Stopping(pid: process.instance.pid, limits: limits, sharers: sharers)
        try stopping.seizeAll(process)
        let window = StopWindow(raisesPriority: limits.raisesPriority)
        do {
            try stopping.stopAll(process, since: window.start)
            try checkMemory(stopping.stopped)
        } catch {
            stopping.abandon()
            throw error
        }
        threads = stopping.stopped
        sharers = stopping.sharers
        self.window = consume window
    }

    /// Lets all threads go (those in a group stop stay in it) and no longer traces them. Gives the length of the stop
    /// window in nanoseconds.
    @discardableResult
    package mutating func resumeAll() -> Int64 {
        guard let window = window.take() else { return 0 }
        let late = StopWindow.detach(threads)
        lastWindow = Int64(clinux_monotonic()) - window.start
        threads = []
        Seizing.letGoLater(late)
        return lastWindow
    }

    /// Changes the registers of a stopped thread. Dangerous if the tool dies before the rest is done.
    ///
    /// - Throws: `misuse` if there is no such stopped thread, `exited`.
    package mutating func setRegisters(_ registers: Registers, of tid: Int32) throws(ControlError) {
        guard let index = threads.firstIndex(where: { $0.tid == tid }) else {
            throw ControlError(.misuse, "thread \(tid) is not stopped", tid: tid)
        }
        guard Tracee.setRegisters(registers, of: tid) else {
            throw ControlError(.exited, "thread \(tid) was killed", tid: tid)
        }
        threads[index].registers = registers
    }

    /// The stopped threads are those of the process that was meant, and its memory is the one that `process` has open.
    private func checkMemory(_ stopped: [StoppedThread]) throws(ControlError) {
        guard let first = stopped.first(where: { $0.process == process.instance.pid }) else {
            throw ControlError(.exited, "process \(process.instance.pid) has ended")
        }
        // Every thread was found in the process's own directory after it was seized, so it is the right process. After an
        // execve the old memory has no users, and reading from it gives nothing.
        var byte: UInt8 = 0
        if process.memory >= 0, unsafe clinux_pread(process.memory, &byte, 1, first.registers.rip) == 0 {
            throw ControlError(.reused, "process \(process.instance.pid) started a program anew")
        }
    }
}

/// What is held while threads are stopped: SIGCHLD blocked, the priority raised.
struct StopWindow: ~Copyable {
    private let blocked = ChildSignalBlocked()
    private let priority: RaisedPriority
    let start: Int64

    init(raisesPriority: Bool) {
        priority = RaisedPriority(raisesPriority)
        start = Int64(clinux_monotonic())
    }

    /// Detaches from all, passing their signals on. Gives the threads that were not in a stop.
    static func detach(_ threads: [StoppedThread]) -> [Int32] {
        var late: [Int32] = []
        for thread in threads {
            var signal: Int32 = 0
            if case .signal(let number) = thread.stop { signal = number }
            // A thread in a group stop goes back into it by itself.
            if clinux_ptrace_detach(thread.tid, signal) < 0 { late.append(thread.tid) }
        }
        return late
    }

    /// Detaches from all and takes care of those that ended meanwhile.
    static func release(_ threads: [StoppedThread]) {
        Seizing.letGoLater(detach(threads))
    }
}
