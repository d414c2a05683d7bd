//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ProcessControl
import ProcessInspection
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// A thread is borrowed and given back as it was.
@Suite(.serialized) struct BorrowTests {
    /// A machine that is busy with other things lets threads wait for a processor.
    private var patient: ControlledProcess.Limits {
        var limits = ControlledProcess.Limits()
        limits.stop = 10_000_000_000
        limits.borrow = 10_000_000_000
        return limits
    }

    @Test func registersAndVectorsAreKept() throws {
        let victim = try Victim("aa")
        var process = ControlledProcess(try ProcessHandle(pid: victim.pid), limits: patient)
        for _ in 0..<100 {
            #expect(try process.performSystemCall(39, []) == Int64(victim.pid))
        }
        #expect(victim.makesProgress())
        #expect(victim.corrupt == 0)
    }

    /// Each kind alone, so that it is the one that is borrowed.
    @Test(arguments: Array("aSeEnpFrRmtuU").map(String.init)) func noKindNotices(kind: String) throws {
        let victim = try Victim(kind)
        var process = ControlledProcess(try ProcessHandle(pid: victim.pid), limits: patient)
        for _ in 0..<20 {
            #expect(try process.performSystemCall(39, []) == Int64(victim.pid))
            usleep(3000)
        }
        #expect(victim.makesProgress())
        #expect(victim.interrupted == 0 && victim.unexpected == 0, "\(victim.lastWrong)")
        #expect(victim.corrupt == 0)
    }

    /// A handler on an alternate stack: no room for a frame may be assumed there.
    @Test func alternateStacksAreLeftAlone() throws {
        let victim = try Victim("s")
        var process = ControlledProcess(try ProcessHandle(pid: victim.pid), limits: patient)
        var refused = 0
        for _ in 0..<60 {
            do {
                #expect(try process.performSystemCall(39, []) == Int64(victim.pid))
            } catch {
                #expect(error.code == .noBorrowableThread && error.isTransient)
                refused += 1
            }
            usleep(700)
        }
        #expect(refused > 0)
        #expect(victim.makesProgress())
        #expect(victim.corrupt == 0 && victim.unexpected == 0, "\(victim.lastWrong)")
    }

    @Test func signalsInBetweenAreNotLost() throws {
        let victim = try Victim("S", options: ["handler"])
        var process = ControlledProcess(try ProcessHandle(pid: victim.pid), limits: patient)
        let signal = 34
        for _ in 0..<200 {
            sigqueue(victim.pid, Int32(signal), sigval())
            #expect(try process.performSystemCall(39, []) == Int64(victim.pid))
        }
        for _ in 0..<2000 where victim.handled < 200 { usleep(1000) }
        #expect(victim.handled == 200)
        #expect(victim.makesProgress())
    }

    @Test(arguments: ["S", "aSeEnpFr"]) func memoryIsMappedAndFilled(kinds: String) throws {
        let victim = try Victim(kinds)
        var process = ControlledProcess(try ProcessHandle(pid: victim.pid), limits: patient)
        let library = try #require(try process.process.loadedObjects().first { $0.displayName.contains("libc.so") })
        let room = try process.mapExecutable(size: 16384, within: [library.range])
        let mapping = try #require(try process.process.mappings().containing(room))
        #expect(mapping.range == room..<(room + 16384))
        #expect(mapping.isExecutable && mapping.isReadable && !mapping.isWritable && mapping.isAnonymous)
        let farthest = max(room + 16384, library.range.upperBound) - min(room, library.range.lowerBound)
        #expect(farthest < 1 << 31)
        // One that is still empty is found again, a used one is not.
        #expect(try process.mapExecutable(size: 16384, within: [library.range]) == room)
        let image = (0..<16384).map { UInt8(truncatingIfNeeded: $0 * 7 + 1) }
        try process.write(image, at: room)
        #expect(try process.process.read(room, count: 16384) == image)
        let second = try process.mapExecutable(size: 16384, within: [library.range])
        #expect(second != room)
        try process.unmap(second..<(second + 16384))
        #expect(try process.process.mappings().containing(second) == nil)
        #expect(victim.makesProgress())
        #expect(victim.interrupted == 0 && victim.unexpected == 0 && victim.corrupt == 0, "\(victim.lastWrong)")
    }

    @Test(arguments: [["-static"], ["-static-pie"], ["-no-pie"]]) func otherKindsOfExecutables(flags: [String]) throws {
        let victim = try Victim("SaeE", program: try TestProgram.path("victim", flags: flags))
        var process = ControlledProcess(try ProcessHandle(pid: victim.pid), limits: patient)
        let program = try #require(try process.process.loadedObjects().first { $0.kind == .executable })
        let room = try process.mapExecutable(size: 8192, within: [program.range])
        try process.write([1, 2, 3], at: room)
        #expect(victim.makesProgress())
        #expect(victim.interrupted == 0 && victim.unexpected == 0 && victim.corrupt == 0, "\(victim.lastWrong)")
    }

    /// Text is private and not writable: written all the same, in both ways, running and stopped.
    @Test(arguments: [true, false]) func textIsWritten(usesProcessMemory: Bool) throws {
        let victim = try Victim("Sn")
        var limits = patient
        limits.usesProcessMemory = usesProcessMemory
        var process = ControlledProcess(try ProcessHandle(pid: victim.pid), limits: limits)
        let program = try #require(try process.process.loadedObjects().first { $0.kind == .executable })
        // Behind the last instruction of the segment: the rest of its last page.
        let end = try #require(program.text.first).upperBound
        let place = end / 16 * 16 + 35
        for stops in [false, true] {
            let bytes: [UInt8] = stops ? [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 1] : [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
            let around = try process.process.read(place - 8, count: 8)
            if stops { try process.stopAll() }
            try process.write(bytes, at: place)
            process.resumeAll()
            #expect(try process.process.read(place, count: bytes.count) == bytes)
            #expect(try process.process.read(place - 8, count: 8) == around)
        }
        let error = try #require(throws: ControlError.self) { try process.write([1], at: 0x1000) }
        #expect(error.code == .unwritable || error.code == .notWritten)
        #expect(victim.makesProgress())
    }

    @Test func seccompFiltersAreAsked() throws {
        let allowing = try Victim("S", options: ["seccomp-allow"])
        var process = ControlledProcess(try ProcessHandle(pid: allowing.pid), limits: patient)
        let library = try #require(try process.process.loadedObjects().first { $0.displayName.contains("libc.so") })
        _ = try process.mapExecutable(size: 4096, within: [library.range])
        // mprotect is what this one kills for.
        let first = try #require(throws: ControlError.self) { try process.performSystemCall(10, [0, 0, 0]) }
        #expect(first.code == .seccompFilter)
        #expect(allowing.makesProgress())

        let killing = try Victim("S", options: ["seccomp-no-mmap"])
        var other = ControlledProcess(try ProcessHandle(pid: killing.pid), limits: patient)
        let error = try #require(throws: ControlError.self) {
            try other.mapExecutable(size: 4096, within: [library.range])
        }
        #expect(error.code == .seccompFilter)
        #expect(killing.makesProgress())
    }

    @Test func noBorrowWhileStopped() throws {
        let victim = try Victim("S")
        var process = ControlledProcess(try ProcessHandle(pid: victim.pid), limits: patient)
        try process.stopAll()
        #expect(throws: ControlError.self) { try process.performSystemCall(39, []) }
        process.resumeAll()
        #expect(victim.makesProgress())
    }

    @Test func aGroupStoppedProcessHasNoThreadToLend() throws {
        let victim = try Victim("Sn")
        kill(victim.pid, SIGSTOP)
        for _ in 0..<1000 where victim.states != "TT" { usleep(1000) }
        var process = ControlledProcess(try ProcessHandle(pid: victim.pid), limits: patient)
        let error = try #require(throws: ControlError.self) { try process.performSystemCall(39, []) }
        #expect(error.code == .noBorrowableThread)
        #expect(victim.states == "TT")
        kill(victim.pid, SIGCONT)
        #expect(victim.makesProgress())
    }
}
