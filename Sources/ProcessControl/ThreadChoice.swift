//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import CLinux
internal import ProcessInspection

/// Which thread is borrowed first. What counts is what happens if we die in the middle: the thread then comes back by
/// a signal frame, which restarts some system calls exactly, starts time-outs of others anew, and knows nothing of
/// what restart_syscall(2) was to resume.
enum ThreadChoice {
    /// How good a thread is; lower is better.
    enum Rank: Int, Comparable {
        /// In user mode, or with the result of a system call already in hand.
        case user = 1
        /// In a system call that restarts exactly.
        case exact = 2
        /// In a call that we make restart, without a time-out.
        case indefinite = 3
        /// In a call whose time-out would start anew.
        case timed = 4
        /// In restart_syscall: would see EINTR.
        case restarted = 5

        static func < (left: Rank, right: Rank) -> Bool { left.rawValue < right.rawValue }
    }

    /// A thread, and how good it seems from outside.
    struct Candidate {
        var rank: Rank
        var tid: Int32
    }

    /// The threads that may be borrowed, best guess first: told by `/proc/PID/task/TID/syscall`, which disturbs
    /// nobody. At most `limit` threads are looked at.
    static func candidates(
        in process: borrowing ProcessHandle, limit: Int = 64
    ) throws(ControlError) -> [Candidate] {
        let tids: [Int32]
        do {
            tids = try process.threadIDs()
        } catch {
            throw ControlError(error)
        }
        var ranked: [Candidate] = []
        for tid in tids.prefix(limit) {
            // Running or sleeping only: not ended, stopped, traced, or in an uninterruptible sleep.
            guard let thread = try? process.thread(tid), thread.state == 0x52 || thread.state == 0x53 else { continue }
            guard let line = try? process.contents("task/\(tid)/syscall") else { continue }
            ranked.append(Candidate(rank: guess(line), tid: tid))
        }
        return ranked.sorted { ($0.rank, $0.tid) < ($1.rank, $1.tid) }
    }

    /// `running`, or `number arg1 ... arg6 sp pc`, or `-1 sp pc`.
    private static func guess(_ line: [UInt8]) -> Rank {
        let fields = String(decoding: line, as: UTF8.self).split { $0 == " " || $0 == "\n" }
        guard fields.count >= 7, let number = UInt64(fields[0]) else { return .user }
        let arguments = fields[1...6].map { UInt64($0.dropFirst(2), radix: 16) ?? 0 }
        // read, write, accept, wait4 ... restart exactly, unless a socket has a time-out.
        return rank(number: number, arguments: arguments, otherwise: .exact)
    }

    /// How good a thread with these registers is, stopped and settled.
    static func rank(_ registers: Registers) -> Rank {
        guard registers.isInSystemCall else { return .user }
        if registers.origRax == Kernel.restartNumber { return .restarted }
        switch registers.rax {
        case Kernel.restartSystemCall, Kernel.restartNoInterrupt: return .exact
        case Kernel.restartBlock: return .timed
        case Kernel.restartNoHandler, Kernel.resultInterrupted:
            let arguments = [
                registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9,
            ]
            // What is not known and restarts only because we made it (receiving with a socket's time-out, connect ...)
            // has a time-out of its own.
            return rank(number: registers.origRax, arguments: arguments, otherwise: .timed)
        default: return .user
        }
    }

    /// What is known of system calls by their numbers (x86-64), measured.
    private static func rank(number: UInt64, arguments: [UInt64], otherwise: Rank) -> Rank {
        switch number {
        // ppoll, select, pselect6 (the kernel writes the time that is left back), msgrcv, pause, rt_sigsuspend.
        case 271, 23, 270, 70, 34, 130: .exact
        // epoll_wait, epoll_pwait: time-out in milliseconds, negative for none.
        case 232, 281: Int32(truncatingIfNeeded: arguments[3]) < 0 ? .indefinite : .timed
        // semop; semtimedop, epoll_pwait2, rt_sigtimedwait: a null pointer for none.
        case 65: .indefinite
        case 220, 441: arguments[3] == 0 ? .indefinite : .timed
        case 128: arguments[2] == 0 ? .indefinite : .timed
        // clock_nanosleep: TIMER_ABSTIME.
        case 230: arguments[1] & 1 != 0 ? .exact : .timed
        // nanosleep, poll, io_uring_enter.
        case 35, 7, 426: .timed
        // futex: a null pointer for no time-out.
        case 202: arguments[3] == 0 ? .exact : .timed
        case Kernel.restartNumber: .restarted
        default: otherwise
        }
    }

    /// Why the thread's stack cannot take a signal frame; nil if it can.
    ///
    /// Its bottom must be known, so the stack is either the one that the kernel made, or one with the thread pointer in
    /// the same mapping (C libraries put it at a thread stack's top). An alternate signal stack, a coroutine's or Go's
    /// may be far too small, and ptrace cannot tell where it ends.
    static func stackObstacle(_ registers: Registers, mappings: [Mapping]) -> String? {
        guard let mapping = mappings.containing(registers.rsp), mapping.isWritable, !mapping.isShared,
            mapping.identity == nil
        else { return "its stack pointer is in no ordinary stack" }
        let isMain = mapping.name.elementsEqual("[stack]".utf8)
        let isThreads =
            !mapping.name.elementsEqual("[heap]".utf8) && mapping.range.contains(registers.fsBase)
            && registers.fsBase > registers.rsp
        guard isMain || isThreads else { return "it runs on a stack whose end is not known" }
        guard registers.rsp - mapping.range.lowerBound >= SignalFrame.neededStack else {
            return "its stack is nearly full"
        }
        return nil
    }
}
