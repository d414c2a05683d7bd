//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import Foundation

/// A running `Programs/victim.c`: threads that do what servers do, and count what they notice.
package final class Victim: @unchecked Sendable {
    /// Its pid.
    package let pid: pid_t
    private let file: String
    private let memory: UnsafeMutablePointer<UInt64>
    private let threads: Int
    private var hasEnded = false

    /// Starts one thread per letter of `kinds` (see victim.c) and waits until all are made.
    package init(_ kinds: String, options: [String] = [], program: String? = nil, prefix: [String] = []) throws {
        let path = try program ?? TestProgram.path("victim")
        file = "\(TestProgram.directory)/victim-\(UInt64.random(in: 0 ... .max))"
        threads = kinds.utf8.count
        let descriptor = open(file, O_RDWR | O_CREAT, 0o600)
        guard descriptor >= 0, ftruncate(descriptor, 4096) == 0,
            let map = mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), map != MAP_FAILED
        else { throw TestProgram.Failure(text: "no shared file") }
        close(descriptor)
        memory = map.assumingMemoryBound(to: UInt64.self)
        let command = prefix + [path, file, kinds] + options
        pid = try Command.spawn(command[0], Array(command.dropFirst()))
        let deadline = Date(timeIntervalSinceNow: 20)
        while field(0) != 1 {
            guard Date() < deadline else { throw TestProgram.Failure(text: "the victim did not start") }
            usleep(1000)
        }
    }

    deinit {
        end()
        munmap(memory, 4096)
        unlink(file)
    }

    /// Kills and reaps it.
    package func end() {
        guard !hasEnded else { return }
        hasEnded = true
        kill(pid, SIGKILL)
        Command.wait(pid)
    }

    private func field(_ index: Int) -> UInt64 {
        UnsafeRawPointer(memory + index).load(as: UInt64.self)
    }

    /// Calls that gave EINTR.
    package var interrupted: UInt64 { field(1) }
    /// Calls with any other wrong result.
    package var unexpected: UInt64 { field(2) }
    /// Times that registers, vector state, the red zone or the alternate stack were changed.
    package var corrupt: UInt64 { field(3) }
    /// Runs of the SIGRTMIN handler.
    package var handled: UInt64 { field(4) }
    /// The last wrong result, for messages.
    package var lastWrong: String { "errno \(field(6)) in \(UnicodeScalar(UInt8(truncatingIfNeeded: field(7))))" }
    /// Rounds of each thread.
    package var progress: [UInt64] { (0..<threads).map { field(8 + $0) } }

    /// Sets a counter, as a word to the program.
    package func setProgress(_ index: Int, _ value: UInt64) {
        UnsafeMutableRawPointer(memory + 8 + index).storeBytes(of: value, as: UInt64.self)
    }

    /// Whether it lives (not even a zombie).
    package var isAlive: Bool {
        var info = siginfo_t()
        return waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_signo == 0
    }

    /// Waits until each thread (but those of these indices) has gone round twice more; false after `seconds`.
    package func makesProgress(except: Set<Int> = [], seconds: Double = 20) -> Bool {
        let before = progress
        let deadline = Date(timeIntervalSinceNow: seconds)
        while Date() < deadline {
            let now = progress
            if (0..<threads).allSatisfy({ except.contains($0) || now[$0] >= before[$0] + 2 }) { return true }
            guard isAlive else { return false }
            usleep(1000)
        }
        return false
    }

    /// State letters of all threads from `/proc`.
    package var states: String {
        let tids = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
        return String(
            tids.compactMap { tid -> Character? in
                let stat = (try? String(contentsOfFile: "/proc/\(pid)/task/\(tid)/stat", encoding: .utf8)) ?? ""
                return stat.split(separator: ")").last?.dropFirst().first
            })
    }
}
