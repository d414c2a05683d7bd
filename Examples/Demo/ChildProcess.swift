//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Glibc

/// A child process of the demo.
struct ChildProcess: Sendable {
    /// Its process identifier, its own until it was waited for.
    let pid: pid_t
    /// What it is, for people.
    let name: String

    /// How a child ended.
    struct Ending: Sendable {
        /// Exit code, or 128 and the signal's number.
        var code: Int32
        /// CPU seconds that it and its own children used, user and system.
        var cpuSeconds: Double
    }

    /// Starts an executable.
    ///
    /// The child gets a process group of its own, so that a Ctrl-C reaches the demo only, and neither
    /// blocked nor ignored signals.
    ///
    /// - Parameters:
    ///   - arguments: the executable's path or name first.
    ///   - environment: added to the demo's own.
    ///   - output: file for standard output, written anew; the demo's own if nil.
    ///   - errors: file for standard error, likewise.
    static func start(
        _ arguments: [String], environment: [String: String] = [:], output: String? = nil, errors: String? = nil
    ) throws(DemoError) -> ChildProcess {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        let flags = O_WRONLY | O_CREAT | O_TRUNC
        if let output { posix_spawn_file_actions_addopen(&actions, 1, output, flags, 0o644) }
        if let errors { posix_spawn_file_actions_addopen(&actions, 2, errors, flags, 0o644) }

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        var usual = sigset_t()
        sigemptyset(&usual)
        sigaddset(&usual, SIGPIPE)
        posix_spawnattr_setsigdefault(&attributes, &usual)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))

        var variables: [String] = []
        var entry = environ
        while let pointer = entry.pointee {
            let text = String(cString: pointer)
            if environment[String(text.prefix { $0 != "=" })] == nil { variables.append(text) }
            entry += 1
        }
        variables += environment.map { "\($0.key)=\($0.value)" }

        var vector = arguments.map { strdup($0) } + [nil]
        var strings = variables.map { strdup($0) } + [nil]
        defer { for pointer in vector + strings { free(pointer) } }
        var pid = pid_t()
        let result = posix_spawnp(&pid, arguments[0], &actions, &attributes, &vector, &strings)
        guard result == 0 else {
            throw DemoError(
                code: .missing, reason: "\(arguments[0]) cannot be started: \(String(cString: strerror(result)))")
        }
        return ChildProcess(pid: pid, name: arguments[0])
    }

    /// Waits until the child has ended.
    func wait() -> Ending {
        while true {
            if let ending = wait(options: 0) { return ending }
        }
    }

    /// The ending of a child that has ended, nil for one that runs.
    func poll() -> Ending? { wait(options: WNOHANG) }

    private func wait(options: Int32) -> Ending? {
        var status: Int32 = 0
        var usage = rusage()
        let result = wait4(pid, &status, options, &usage)
        if result == pid {
            let code = status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
            return Ending(code: code, cpuSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime))
        }
        return result < 0 && errno != EINTR ? Ending(code: -1, cpuSeconds: 0) : nil
    }

    private func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
}
