//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import CLinux
package import ProcessInspection

/// A process under control: its memory can be written, a thread borrowed for one system call, and all of its threads
/// stopped for a moment.
///
/// Synchronous code for one kernel thread: ptrace belongs to the thread that stopped the process, so make, use and
/// end it on the same one, without `await` in between. Nothing is traced but between `stopAll` and `resumeAll` (and
/// inside a borrow): signals never wait for us. `deinit` resumes and detaches; should the tool die, the kernel does.
///
/// ```swift
/// var process = try ControlledProcess(ProcessHandle(pid: pid))
/// let room = try process.mapExecutable(size: 16384, within: reach)   // threads run on but the borrowed one
/// try process.write(image, at: room)                                 // threads run
/// try process.stopAll()
/// ... process.threads ... process.write(jump, at: entry) ...
/// let window = process.resumeAll()
/// ```
package struct ControlledProcess: ~Copyable {
    /// How long things may take.
    package struct Limits: Sendable {
        /// From the first interrupt until every thread has stopped. Afterwards all are let go and `stopTimedOut` is
        /// thrown. Nanoseconds.
        package var stop: Int64 = 100_000_000
        /// A borrow, from the thread's interrupt to the end of the system call. Nanoseconds.
        package var borrow: Int64 = 1_000_000_000
        /// Whether to raise the calling thread to SCHED_FIFO from the first interrupt to the last resume.
        package var raisesPriority = true
        /// Whether memory is written through `/proc/PID/mem` at all; if not, by ptrace word by word, as under
        /// `proc_mem.force_override=never`.
        package var usesProcessMemory = true

        /// The defaults.
        package init() {}
    }

    /// The process, for reading.
    package let process: ProcessHandle
    /// How long things may take.
    package var limits: Limits
    /// The stopped threads; empty while the process runs.
    package internal(set) var threads: [StoppedThread] = []
    /// Length of the last stop window: CLOCK_MONOTONIC nanoseconds from the first interrupt to the last resume.
    package internal(set) var lastWindow: Int64 = 0
    /// Other processes in the same memory.
    var sharers: MemorySharers
    /// What is held while all threads are stopped.
    var window: StopWindow?
    /// Found once: the C library stays where it is.
    var site: SystemCallSite?

    /// Takes control of a process; nothing is stopped yet.
    package init(_ process: consuming ProcessHandle, limits: Limits = Limits()) {
        sharers = MemorySharers(process)
        self.process = process
        self.limits = limits
    }

    /// Whether the threads are stopped.
    package var isStopped: Bool { !threads.isEmpty }

    deinit {
        StopWindow.release(threads)
    }

    /// Checks that it is still the same process with the same program.
    func check() throws(ControlError) {
        do {
            try process.check()
        } catch {
            throw ControlError(error)
        }
    }
}

extension ControlError {
    /// The same, told by the room below.
    package init(_ error: InspectionError) {
        let code: Code =
            switch error.code {
            case .exited: .exited
            case .reused: .reused
            case .noPrivilege: .noPrivilege
            case .unreadable: .unreadable
            case .malformed, .system: .system
            }
        self.init(code, error.reason, errno: error.errno)
    }
}
