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
        /// One step of a borrowed thread. Nanoseconds.
        package var borrow: Int64 = 1_000_000_000
        /// Whether to raise the calling thread to SCHED_FIFO from the first interrupt to the last resume.
        package var raisesPriority = true

        /// The defaults.
        package init() {}
    }

    /// The process, for reading.
    package let process: ProcessHandle
    /// How long things may take.
    package var limits: Limits
    /// The stopped threads; empty while the process runs.
    package private(set) var threads: [StoppedThread] = []
    /// Length of the last stop window: CLOCK_MONOTONIC nanoseconds from the first interrupt to the last resume.
    package private(set) var lastWindow: Int64 = 0

    /// Takes control of a process; nothing is stopped yet.
    ///
    /// - Throws: what `Patchability` finds in the way.
    package init(_ process: consuming ProcessHandle, limits: Limits = Limits()) throws(ControlError) {
        self.process = process
        self.limits = limits
    }

    /// Whether the threads are stopped.
    package var isStopped: Bool { !threads.isEmpty }

    /// Stops every task that uses the process's memory: interrupts all, then waits for all, until a look finds no new
    /// one. Interrupted system calls will restart, as if nothing had been.
    ///
    /// On return nothing runs in the process's memory, the memory is still that of `process`, and `threads` holds the
    /// registers of each.
    ///
    /// - Throws: `exited`, `reused`, `tracedByOther`, `noPrivilege`, `compat32Bit`, `stopTimedOut`, `vfork`, `misuse`;
    ///   everything runs again then.
    package mutating func stopAll() throws(ControlError) { fatalError("next commit") }

    /// Lets all threads go (those in a group stop stay in it) and no longer traces them. Gives the length of the stop
    /// window in nanoseconds.
    @discardableResult
    package mutating func resumeAll() -> Int64 { fatalError("next commit") }

    /// Changes the registers of a stopped thread. Dangerous if the tool dies before the rest is done.
    package mutating func setRegisters(_ registers: Registers, of tid: Int32) throws(ControlError) {
        fatalError("next commit")
    }

    /// Writes memory whatever its protection, and reads it back. Works while the threads run and while they are
    /// stopped. One call of at most 8 bytes within an aligned 8-byte word is one write of the kernel's.
    ///
    /// - Throws: `unwritable`, `notWritten`, `exited`.
    package func write(_ bytes: [UInt8], at address: UInt64) throws(ControlError) { fatalError("next commit") }

    /// Lets one thread of the running process make a system call, invisibly: registers, vector state, signal mask and
    /// an interrupted system call of its own are as before. A frame on its stack restores it if the tool dies meanwhile.
    /// All other threads run on.
    ///
    /// - Returns: what the kernel returned, errors as -errno.
    /// - Throws: `noBorrowableThread`, `seccompFilter`, `noSystemCallInstruction`, `misuse` if stopped, `exited` ...
    package mutating func performSystemCall(_ number: UInt64, _ arguments: [UInt64]) throws(ControlError) -> Int64 {
        fatalError("next commit")
    }

    /// Maps `size` bytes of zeroed private memory, readable and executable, never writable, so that every byte of it is
    /// within ±2 GiB of every byte of `within`.
    ///
    /// Candidate addresses come in a fixed order, so a later run finds what an earlier one that died has mapped:
    /// `roomCandidates`.
    ///
    /// - Returns: the address.
    /// - Throws: `noRoom`, `systemCallFailed`, and what `performSystemCall` throws.
    package mutating func mapExecutable(size: UInt64, within: [Range<UInt64>]) throws(ControlError) -> UInt64 {
        fatalError("next commit")
    }

    /// Unmaps memory of `mapExecutable`.
    package mutating func unmap(_ range: Range<UInt64>) throws(ControlError) { fatalError("next commit") }
}
