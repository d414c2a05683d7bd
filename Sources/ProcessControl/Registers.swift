//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The general registers of a thread in the layout of the kernel's `struct user_regs_struct` (x86-64,
/// `sys/user.h`; NT_PRSTATUS of ptrace).
package struct Registers: BitwiseCopyable, Sendable, Equatable {
    /// r15 ... rbx in the kernel's order.
    package var r15: UInt64 = 0
    /// Register r14.
    package var r14: UInt64 = 0
    /// Register r13.
    package var r13: UInt64 = 0
    /// Register r12.
    package var r12: UInt64 = 0
    /// Register rbp.
    package var rbp: UInt64 = 0
    /// Register rbx.
    package var rbx: UInt64 = 0
    /// Register r11.
    package var r11: UInt64 = 0
    /// Register r10.
    package var r10: UInt64 = 0
    /// Register r9.
    package var r9: UInt64 = 0
    /// Register r8.
    package var r8: UInt64 = 0
    /// Register rax: in a system call that was interrupted, its result so far (-512 ... -516: restarts).
    package var rax: UInt64 = 0
    /// Register rcx.
    package var rcx: UInt64 = 0
    /// Register rdx.
    package var rdx: UInt64 = 0
    /// Register rsi.
    package var rsi: UInt64 = 0
    /// Register rdi.
    package var rdi: UInt64 = 0
    /// Number of the system call the thread is in; all ones outside of any.
    package var origRax: UInt64 = 0
    /// The instruction pointer.
    package var rip: UInt64 = 0
    /// Code segment: 0x33 in 64-bit, 0x23 in 32-bit code.
    package var cs: UInt64 = 0
    /// The flags.
    package var eflags: UInt64 = 0
    /// The stack pointer.
    package var rsp: UInt64 = 0
    /// Stack segment.
    package var ss: UInt64 = 0
    /// The thread pointer.
    package var fsBase: UInt64 = 0
    /// Base of gs.
    package var gsBase: UInt64 = 0
    /// Segment ds.
    package var ds: UInt64 = 0
    /// Segment es.
    package var es: UInt64 = 0
    /// Segment fs.
    package var fs: UInt64 = 0
    /// Segment gs.
    package var gs: UInt64 = 0

    /// All zero.
    package init() {}

    /// Whether the thread stopped inside a system call.
    package var isInSystemCall: Bool { Int64(bitPattern: origRax) >= 0 }
}

/// One thread of a stopped process.
package struct StoppedThread: Sendable, Equatable {
    /// How it stopped.
    package enum Stop: Sendable, Equatable {
        /// By our wish.
        case interrupted
        /// On the way to a signal that is passed on at resume.
        case signal(Int32)
        /// It belongs to a group stop (SIGSTOP and its like) and stays stopped afterwards.
        case group(Int32)
    }

    /// Thread id.
    package var tid: Int32
    /// Thread group (process): differs from the process's pid for tasks that only share its memory.
    package var process: Int32
    /// How it stopped.
    package var stop: Stop
    /// Its registers; `rip` is where it goes on (in a system call: right behind the instruction).
    package var registers: Registers
    /// The critical section (`struct rseq_cs`) the thread is in; nil if in none. Code must not be changed under it
    /// there: the abort would go missing.
    package var restartableSequence: Range<UInt64>?
}
