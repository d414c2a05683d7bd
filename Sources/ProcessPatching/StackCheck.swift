//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import PatchPlan
import ProcessControl
import ProcessInspection
import Unwinding

/// Tells which stopped threads are in the way of a switch.
struct StackCheck {
    /// Bytes of each stack that are read at once with everything else; deeper stacks take a second read.
    static let window: UInt64 = 16 * 1024

    /// Most bytes that are scanned for one thread; nobody stands still for more.
    static let scanLimit: UInt64 = 256 << 20

    let guarded: GuardedRanges
    let tables: FrameTableMap
    let survey: ProcessSurvey

    /// The ranges to read for a first look, one per thread.
    static func windows(of threads: [StoppedThread], survey: ProcessSurvey) -> [Range<UInt64>] {
        threads.map { thread in
            let start = thread.registers.rsp & ~7
            guard let mapping = survey.mapping(at: start) else { return start..<start }
            return start..<min(mapping.range.upperBound, start &+ window)
        }
    }

    /// The threads that are in the way.
    ///
    /// A stack that cannot be followed to its end is scanned word by word, from the stack pointer to the end of its
    /// mapping, and so is every stack that it was followed to; any hit counts. A thread whose stack pointer leads to
    /// no memory counts as busy: nothing can be said about it.
    func busy(
        _ threads: [StoppedThread], stacks: [[UInt8]], handle: borrowing ProcessHandle
    ) -> [BusyThread] {
        var busy: [BusyThread] = []
        for (index, thread) in threads.enumerated() {
            let stack = index < stacks.count ? stacks[index] : []
            if let found = check(thread, stack: stack, handle: handle) { busy.append(found) }
        }
        return busy
    }

    private func check(
        _ thread: StoppedThread, stack: [UInt8], handle: borrowing ProcessHandle
    ) -> BusyThread? {
        if let hit = guarded.hit(thread.registers.rip) {
            return BusyThread(thread: thread.tid, function: hit.name, byScan: false)
        }
        let start = thread.registers.rsp & ~7
        guard let mapping = survey.mapping(at: start) else {
            return BusyThread(thread: thread.tid, function: "(no stack)", byScan: true)
        }
        var regions = [MemorySnapshot.Region(address: start, bytes: stack)]
        var backtrace = unwind(thread, regions)
        if case .incomplete(let error) = backtrace.ending {
            // More of this stack, and of those that a signal handler's frame leads to.
            var places = [start..<min(mapping.range.upperBound, start &+ (8 << 20))]
            for address in [error.place] + backtrace.frames.compactMap(\.canonicalFrameAddress) {
                guard !places.contains(where: { $0.contains(address) }),
                    let other = survey.mapping(at: address), other.isWritable
                else { continue }
                places.append((address & ~7)..<min(other.range.upperBound, (address & ~7) &+ (1 << 20)))
            }
            let contents = handle.read(places)
            regions = zip(places, contents).map { MemorySnapshot.Region(address: $0.lowerBound, bytes: $1) }
            backtrace = unwind(thread, regions)
        }
        for frame in backtrace.frames {
            if let hit = guarded.hit(frame.instructionPointer) {
                return BusyThread(thread: thread.tid, function: hit.name, byScan: false)
            }
        }
        guard case .incomplete = backtrace.ending else { return nil }
        return scan(thread, from: start, backtrace, handle: handle)
    }

    private func scan(
        _ thread: StoppedThread, from start: UInt64, _ backtrace: Backtrace, handle: borrowing ProcessHandle
    ) -> BusyThread? {
        var places: [Range<UInt64>] = []
        for address in [start] + backtrace.frames.compactMap(\.canonicalFrameAddress) {
            let aligned = address & ~7
            guard !places.contains(where: { $0.contains(aligned) }), let mapping = survey.mapping(at: aligned) else {
                continue
            }
            places.append(aligned..<mapping.range.upperBound)
        }
        let total = places.reduce(0) { $0 &+ ($1.upperBound - $1.lowerBound) }
        guard total <= Self.scanLimit else {
            return BusyThread(thread: thread.tid, function: "(stack too large)", byScan: true)
        }
        for place in places {
            var address = place.lowerBound
            while address < place.upperBound {
                let end = min(place.upperBound, address &+ (1 << 20))
                let bytes = handle.readAvailable(address, count: Int(end - address))
                if let hit = guarded.hit(stack: bytes) {
                    return BusyThread(thread: thread.tid, function: hit.name, byScan: true)
                }
                guard UInt64(bytes.count) == end - address else {
                    // What cannot be read cannot be cleared.
                    return BusyThread(thread: thread.tid, function: "(unreadable stack)", byScan: true)
                }
                address = end
            }
        }
        return nil
    }

    private func unwind(_ thread: StoppedThread, _ regions: [MemorySnapshot.Region]) -> Backtrace {
        let registers = thread.registers
        var values = RegisterValues()
        values[.rax] = registers.rax
        values[.rdx] = registers.rdx
        values[.rcx] = registers.rcx
        values[.rbx] = registers.rbx
        values[.rsi] = registers.rsi
        values[.rdi] = registers.rdi
        values[.rbp] = registers.rbp
        values[.rsp] = registers.rsp
        values[.r8] = registers.r8
        values[.r9] = registers.r9
        values[.r10] = registers.r10
        values[.r11] = registers.r11
        values[.r12] = registers.r12
        values[.r13] = registers.r13
        values[.r14] = registers.r14
        values[.r15] = registers.r15
        values[.rip] = registers.rip
        var unwinder = Unwinder(memory: MemorySnapshot(regions), tables: tables)
        return unwinder.unwind(values)
    }
}
