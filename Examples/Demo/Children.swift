//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Glibc
import Synchronization

/// All children that are running, so that none outlives the demo, however it ends.
final class Children: Sendable {
    private struct State {
        var running: [ChildProcess] = []
        var closed = false
    }

    private let state = Mutex(State())

    /// Starts a child and remembers it. For the arguments see `ChildProcess.start`.
    func start(
        _ arguments: [String], environment: [String: String] = [:], output: String? = nil, errors: String? = nil
    ) throws(DemoError) -> ChildProcess {
        // The lock is held over the start, so that `endAll` sees each child or prevents it.
        let result = state.withLock { state -> Result<ChildProcess, DemoError> in
            guard !state.closed else { return .failure(DemoError(code: .failed, reason: "the demo is ending")) }
            do throws(DemoError) {
                let child = try ChildProcess.start(
                    arguments, environment: environment, output: output, errors: errors)
                state.running.append(child)
                return .success(child)
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// Starts a server or a load generator: it is also ended, by the kernel, if the demo is killed
    /// (PR_SET_PDEATHSIG, set by setpriv(1)).
    func startServer(
        _ arguments: [String], environment: [String: String] = [:], output: String? = nil, errors: String? = nil
    ) throws(DemoError) -> ChildProcess {
        try start(
            ["setpriv", "--pdeathsig", "TERM", "--"] + arguments, environment: environment, output: output,
            errors: errors)
    }

    /// Waits until a child has ended and forgets it.
    func wait(_ child: ChildProcess) -> ChildProcess.Ending {
        while true {
            if let ending = poll(child) { return ending }
            usleep(2000)
        }
    }

    /// Ends a child with a signal, after three seconds with SIGKILL, and forgets it.
    @discardableResult
    func end(_ child: ChildProcess, with signal: Int32 = SIGTERM) -> ChildProcess.Ending {
        for attempt in 0..<3000 {
            if attempt == 0 { send(signal, to: child) }
            if let ending = poll(child) { return ending }
            usleep(1000)
        }
        send(SIGKILL, to: child)
        return wait(child)
    }

    /// Whether a child is still running.
    func isRunning(_ child: ChildProcess) -> Bool { poll(child) == nil }

    /// Ends all and lets none be started any more.
    func endAll() {
        let all = state.withLock { state in
            state.closed = true
            return state.running
        }
        for child in all { send(SIGTERM, to: child) }
        for child in all.reversed() { end(child) }
    }

    private func poll(_ child: ChildProcess) -> ChildProcess.Ending? {
        state.withLock { state in
            guard let index = state.running.firstIndex(where: { $0.pid == child.pid }) else {
                return ChildProcess.Ending(code: -1, cpuSeconds: 0)
            }
            guard let ending = state.running[index].poll() else { return nil }
            state.running.remove(at: index)
            return ending
        }
    }

    /// Sends to the child's process group, for the sake of what it started itself. A child that was not waited for
    /// keeps its pid, so the signal cannot reach anyone else.
    private func send(_ signal: Int32, to child: ChildProcess) {
        state.withLock { state in
            if state.running.contains(where: { $0.pid == child.pid }) { _ = kill(-child.pid, signal) }
        }
    }
}
