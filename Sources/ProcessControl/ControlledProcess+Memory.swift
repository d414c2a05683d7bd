//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import CLinux
internal import ProcessInspection

// Writing memory.
extension ControlledProcess {
    /// Writes memory whatever its protection, and reads it back. Works while the threads run and while they are
    /// stopped. Up to 8 bytes within an aligned 8-byte word are written by one call.
    ///
    /// - Throws: `unwritable`, `notWritten`, `exited`.
    package func write(_ bytes: [UInt8], at address: UInt64) throws(ControlError) {
        guard !bytes.isEmpty else { return }
        if !writeWhole(bytes, at: address) { try writeWords(bytes, at: address) }
        guard process.readAvailable(address, count: bytes.count) == bytes else {
            throw ControlError(
                .notWritten, "what was written at 0x\(String(address, radix: 16)) is not there afterwards")
        }
    }

    /// By `/proc/PID/mem`: false if the kernel does not let us (`proc_mem.force_override`) or the memory ends.
    private func writeWhole(_ bytes: [UInt8], at address: UInt64) -> Bool {
        guard limits.usesProcessMemory, process.memory >= 0 else { return false }
        var done = 0
        while done < bytes.count {
            let result = unsafe bytes.withUnsafeBytes { buffer in
                unsafe clinux_pwrite(
                    process.memory, buffer.baseAddress.map { unsafe $0 + done }, bytes.count - done,
                    address &+ UInt64(done))
            }
            if result == -Kernel.interrupted { continue }
            guard result > 0 else { return false }
            done += result
        }
        return true
    }

    /// By PTRACE_POKEDATA, through a stopped thread, or else one that is held meanwhile.
    private func writeWords(_ bytes: [UInt8], at address: UInt64) throws(ControlError) {
        if let thread = threads.first {
            return try writeWords(bytes, at: address, through: thread.tid)
        }
        let blocked = ChildSignalBlocked()
        let deadline = Int64(clinux_monotonic()) + limits.borrow
        var last = ControlError(.exited, "process \(process.instance.pid) has ended")
        for candidate in try ThreadChoice.candidates(in: process) {
            do {
                let held = try HeldThread(candidate.tid, of: process, until: deadline)
                return try writeWords(bytes, at: address, through: held.tid)
            } catch  where error.code == .noBorrowableThread {
                last = error
            }
        }
        _ = consume blocked
        throw last
    }

    private func writeWords(_ bytes: [UInt8], at address: UInt64, through tid: Int32) throws(ControlError) {
        var index = 0
        while index < bytes.count {
            let place = address &+ UInt64(index)
            let word = place & ~7
            let skip = Int(place - word)
            let count = min(8 - skip, bytes.count - index)
            var value: UInt64 = 0
            var result = 0
            if count < 8 { result = unsafe clinux_ptrace_peekdata(tid, word, &value) }
            for offset in 0..<count {
                let shift = UInt64(8 * (skip + offset))
                value = value & ~(0xff << shift) | UInt64(bytes[index + offset]) << shift
            }
            if result >= 0 { result = clinux_ptrace_pokedata(tid, word, value) }
            guard result >= 0 else {
                throw ControlError(
                    result == -Kernel.noProcess ? .exited : .unwritable,
                    "memory at 0x\(String(place, radix: 16)) of process \(process.instance.pid) cannot be written",
                    errno: Int32(truncatingIfNeeded: -result), tid: tid)
            }
            index += count
        }
    }
}
