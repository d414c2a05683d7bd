//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import CLinux
internal import ProcessInspection

// Borrowing a thread of the running process.
extension ControlledProcess {
    /// Lets one thread of the running process make a system call, invisibly: registers, vector state, signal mask and
    /// an interrupted system call of its own are as before. A frame on its stack restores it if the tool dies meanwhile.
    /// All other threads run on.
    ///
    /// - Returns: what the kernel returned, errors as -errno.
    /// - Throws: `noBorrowableThread`, `seccompFilter`, `noSystemCallInstruction`, `misuse` if stopped, `exited` ...
    package mutating func performSystemCall(_ number: UInt64, _ arguments: [UInt64]) throws(ControlError) -> Int64 {
        guard !isStopped else { throw ControlError(.misuse, "a thread can be borrowed while the process runs only") }
        guard arguments.count <= 6 else { throw ControlError(.misuse, "a system call has at most six arguments") }
        try check()
        let mappings = try readMappings()
        guard let site = site ?? SystemCallSite.find(in: process, mappings: mappings) else {
            throw ControlError(
                .noSystemCallInstruction, "process \(process.instance.pid) holds no instructions for a system call")
        }
        self.site = site
        guard !hasShadowStack() else {
            throw ControlError(.noBorrowableThread, "process \(process.instance.pid) uses shadow stacks")
        }
        let call = RemoteSystemCall(
            number: number, arguments: arguments, site: site, deadline: Int64(clinux_monotonic()) + limits.borrow)
        let blocked = ChildSignalBlocked()
        let candidates = try ThreadChoice.candidates(in: process)
        var reasons: [String] = []
        // A thread turns out to be what was guessed, or worse; then the next may be better. Once more, in need, any that
        // can be restored: being stopped again makes a sleeping thread a worse choice, so not more often than that.
        for isInNeed in [false, true] {
            for (index, candidate) in candidates.enumerated() {
                let next = index + 1 < candidates.count ? candidates[index + 1].rank : .restarted
                do {
                    return try borrow(
                        candidate.tid, for: call, accepting: isInNeed ? .restarted : next, mappings: mappings)
                } catch  where error.code == .noBorrowableThread {
                    reasons.append(error.reason)
                }
            }
        }
        _ = consume blocked
        throw ControlError(
            .noBorrowableThread,
            "no thread of process \(process.instance.pid) can be borrowed now: "
                + (reasons.last ?? "none runs or sleeps interruptibly"))
    }

    /// Makes the call on this thread if it is not worse than accepted.
    private func borrow(
        _ tid: Int32, for call: RemoteSystemCall, accepting worst: ThreadChoice.Rank, mappings: [Mapping]
    ) throws(ControlError) -> Int64 {
        var thread = try HeldThread(tid, of: process, until: call.deadline)
        let registers = thread.registers
        let obstacle: String?
        if registers.cs != 0x33 {
            throw ControlError(.compat32Bit, "thread \(tid) runs 32-bit code", tid: tid)
        } else if ThreadChoice.rank(registers) > worst {
            obstacle = "it is in a system call whose time-out would start anew if the tool died"
        } else if RestartableSequence.current(tid, registers, process) != nil {
            obstacle = "it is in a restartable sequence"
        } else {
            obstacle = ThreadChoice.stackObstacle(registers, mappings: mappings)
        }
        if let obstacle { throw ControlError(.noBorrowableThread, "thread \(tid): \(obstacle)", tid: tid) }
        return try call.perform(on: &thread, of: process)
    }

    /// Maps `size` bytes of zeroed private memory, readable and executable, never writable, so that every byte of it is
    /// within ±2 GiB of every byte of `within`.
    ///
    /// The address depends on the mappings only (`FreeRoom.candidates`), and what an earlier run that died has mapped
    /// there and not filled is used.
    ///
    /// - Returns: the address.
    /// - Throws: `noRoom`, `systemCallFailed`, and what `performSystemCall` throws.
    package mutating func mapExecutable(size: UInt64, within: [Range<UInt64>]) throws(ControlError) -> UInt64 {
        let mappings = try readMappings()
        if let address = FreeRoom.abandoned(size: size, within: within, mappings: mappings),
            let bytes = try? process.read(address, count: Int(clamping: size)), bytes.allSatisfy({ $0 == 0 })
        {
            return address
        }
        for address in FreeRoom.candidates(
            size: size, within: within, mappings: mappings, lowest: SystemFacts.lowestAddress())
        {
            // mmap: PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE.
            let result = try performSystemCall(9, [address, size, 5, 0x10_0022, UInt64.max, 0])
            if result == Int64(bitPattern: address) { return address }
            if result >= 0 {
                // A kernel before 4.17 takes the address as a hint only.
                let elsewhere = UInt64(bitPattern: result)
                _ = try performSystemCall(11, [elsewhere, size])
                continue
            }
            if result != -Kernel.exists {
                throw ControlError(
                    .systemCallFailed,
                    "process \(process.instance.pid) cannot map executable memory (errno \(-result))",
                    errno: Int32(truncatingIfNeeded: -result))
            }
        }
        throw ControlError(
            .noRoom, "process \(process.instance.pid) has no room for \(size) bytes within reach of the code")
    }

    /// Unmaps memory of `mapExecutable`.
    ///
    /// - Throws: `systemCallFailed`, and what `performSystemCall` throws.
    package mutating func unmap(_ range: Range<UInt64>) throws(ControlError) {
        let result = try performSystemCall(11, [range.lowerBound, range.upperBound - range.lowerBound])
        guard result == 0 else {
            throw ControlError(
                .systemCallFailed, "process \(process.instance.pid) cannot unmap memory (errno \(-result))",
                errno: Int32(truncatingIfNeeded: -result))
        }
    }

    private func readMappings() throws(ControlError) -> [Mapping] {
        do {
            return try process.mappingsAsShown()
        } catch {
            throw ControlError(error)
        }
    }

    private func hasShadowStack() -> Bool {
        (try? process.status())?.hasShadowStack ?? false
    }
}
