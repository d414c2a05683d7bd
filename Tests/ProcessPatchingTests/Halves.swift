//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import ProcessInspection
import TestSupport

/// The running program of `Programs/halves.c`, and what it counts.
final class Halves: @unchecked Sendable {
    let pid: pid_t
    private let file: String
    private let words: UnsafeMutablePointer<UInt64>
    let threads: Int
    private var hasEnded = false

    init(
        threads: Int = 1, mode: String = "run", turns: Int = 20, workshop: Workshop, program: String? = nil,
        prefix: [String] = []
    )
        throws
    {
        self.threads = threads
        file = "\(workshop.directory)/statistics-\(UInt64.random(in: 0 ... .max))"
        let descriptor = open(file, O_RDWR | O_CREAT, 0o666)
        guard descriptor >= 0, ftruncate(descriptor, 4096) == 0,
            let map = mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), map != MAP_FAILED
        else { throw WorkshopError(text: "no shared file") }
        chmod(file, 0o666)
        close(descriptor)
        words = map.assumingMemoryBound(to: UInt64.self)
        let command = prefix + [program ?? "\(workshop.directory)/halves", file, "\(threads)", mode, "\(turns)"]
        pid = try Command.spawn(command[0], Array(command.dropFirst()))
        let deadline = Date(timeIntervalSinceNow: 60)
        while word(0) != 1 {
            guard Date() < deadline else { throw WorkshopError(text: "the program did not start") }
            usleep(1000)
        }
    }

    deinit {
        end()
        munmap(words, 4096)
        unlink(file)
    }

    func end() {
        guard !hasEnded else { return }
        hasEnded = true
        if child > 0 { kill(child, SIGKILL) }
        kill(pid, SIGKILL)
        Command.wait(pid)
    }

    private func word(_ index: Int) -> UInt64 { UnsafeRawPointer(words + index).load(as: UInt64.self) }
    private func sum(_ field: Int) -> UInt64 { (0..<threads).reduce(0) { $0 + word(8 + 5 * $1 + field) } }

    var rounds: [UInt64] { (0..<threads).map { word(8 + 5 * $0) } }
    var oldAnswers: UInt64 { sum(1) }
    var newAnswers: UInt64 { sum(2) }
    var wrongAnswers: UInt64 { sum(3) }
    /// Sleeps that were interrupted.
    var errors: UInt64 { sum(4) }
    var child: pid_t { pid_t(truncatingIfNeeded: word(1)) }
    var childAnswers: (old: UInt64, new: UInt64, wrong: UInt64) { (word(2), word(3), word(4)) }

    /// Makes a child that works too.
    func fork() {
        words[5] = 1
        while child == 0, isAlive { usleep(1000) }
    }

    var isAlive: Bool {
        var info = siginfo_t()
        return waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_signo == 0
    }

    var instance: ProcessInstance {
        get throws { try ProcessHandle(pid: pid).instance }
    }

    /// Waits until each thread has gone round `turns` times more; false if the process ends or a minute passes.
    func makesProgress(_ turns: UInt64 = 3) -> Bool {
        let before = rounds
        let deadline = Date(timeIntervalSinceNow: 60)
        while Date() < deadline {
            if zip(rounds, before).allSatisfy({ $0 >= $1 + turns }) { return true }
            guard isAlive else { return false }
            usleep(200)
        }
        return false
    }

    /// Which answers come now: `old`, `new`, both or none; waits for rounds of all threads first so that none is
    /// left from before.
    func answersNow() -> (old: Bool, new: Bool) {
        guard makesProgress(2) else { return (false, false) }
        let before = (oldAnswers, newAnswers)
        guard makesProgress(2) else { return (false, false) }
        return (oldAnswers > before.0, newAnswers > before.1)
    }
}
