//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import Foundation
internal import Synchronization

/// C programs of the tests, compiled once per run into a directory of its own.
package enum TestProgram {
    /// Why a program could not be made.
    package struct Failure: Error {
        /// What the compiler said.
        package var text: String
    }

    private static let made = Mutex<[String: String]>([:])

    /// A directory for this run, by pid; removed when the run ends.
    package static let directory: String = {
        let path = FileManager.default.temporaryDirectory.path + "/moult-tests-\(getpid())"
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        atexit { try? FileManager.default.removeItem(atPath: TestProgram.directory) }
        return path
    }()

    /// Path of the compiled `Programs/NAME.c`.
    package static func path(_ name: String, flags: [String] = []) throws -> String {
        let source = URL(filePath: #filePath).deletingLastPathComponent().path + "/Programs/\(name).c"
        return try compile(source, name: name, flags: flags)
    }

    /// Path of a program made of this source text.
    package static func path(_ name: String, source: String, flags: [String] = []) throws -> String {
        let file = "\(directory)/\(name).c"
        try source.write(toFile: file, atomically: true, encoding: .utf8)
        return try compile(file, name: name, flags: flags)
    }

    private static func compile(_ source: String, name: String, flags: [String]) throws -> String {
        try made.withLock { made in
            let key = ([name] + flags).joined(separator: " ")
            if let path = made[key] { return path }
            let path = "\(directory)/\(name)-\(made.count)"
            let result = try Command.run(
                "/usr/bin/gcc", ["-O2", "-g", "-pthread"] + flags + ["-o", path, source])
            guard result.status == 0 else { throw Failure(text: result.output) }
            made[key] = path
            return path
        }
    }
}

/// Runs a command to its end, without Foundation's `Process` (whose waiting would be in a tracer's way).
package enum Command {
    /// How it ended and what it printed (both outputs together).
    package struct Result {
        /// Exit status, or 128 + signal.
        package var status: Int32
        /// Its output.
        package var output: String
    }

    /// Runs `path` with these arguments.
    package static func run(_ path: String, _ arguments: [String], environment: [String]? = nil) throws -> Result {
        let file = "\(TestProgram.directory)/output-\(UInt64.random(in: 0 ... .max))"
        defer { unlink(file) }
        let pid = try spawn(path, arguments, output: file, environment: environment)
        let status = wait(pid)
        let output = (try? String(decoding: Data(contentsOf: URL(filePath: file)), as: UTF8.self)) ?? ""
        return Result(status: status, output: output)
    }

    /// Starts a command with its outputs in a file; the caller waits for it.
    package static func spawn(
        _ path: String, _ arguments: [String], output: String = "/dev/null", environment: [String]? = nil
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // The tests' own threads run with signals blocked, which would be inherited.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        let variables =
            environment ?? ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" }
        var pid: pid_t = 0
        let result = withStrings([path] + arguments) { argv in
            withStrings(variables) { envp in posix_spawn(&pid, path, &actions, &attributes, argv, envp) }
        }
        guard result == 0 else { throw TestProgram.Failure(text: "cannot start \(path): errno \(result)") }
        return pid
    }

    /// Waits for a child by its pid: exit status, or 128 + signal.
    @discardableResult
    package static func wait(_ pid: pid_t) -> Int32 {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
    }

    private static func withStrings<Result>(
        _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        return pointers.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { fatalError("never empty") }
            return body(base)
        }
    }
}
