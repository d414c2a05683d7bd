//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import TestSupport

/// A running `moult-case-victim` (Tests/CaseVictim): it uses openssl with several threads all the time, and answers.
final class CaseVictim {
    /// What its threads did.
    struct Progress {
        /// How often each came round.
        var rounds: [Int]
        /// Legal uses that did not give what they must, and the last of them.
        var wrong: String
    }

    /// Why a victim cannot be asked.
    struct Failure: Error {
        /// What happened.
        var text: String
    }

    /// Longest time for an answer, in milliseconds: one hostile input takes seconds of a processor that others use too.
    private static let patience: Int32 = 300_000

    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private var rest: [UInt8] = []

    /// Its pid.
    var pid: pid_t { process.processIdentifier }

    /// Starts one with the libraries of a directory, and waits until its threads run.
    init(libraries: String, threads: Int = 4) throws {
        process.executableURL = URL(filePath: try KillHarness.executable("moult-case-victim"))
        process.arguments = ["\(threads)"]
        process.environment = ["LD_LIBRARY_PATH": libraries]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        guard try line() == "ready" else { throw Failure(text: "the victim did not start") }
    }

    deinit { end() }

    /// Ends it.
    func end() {
        if process.isRunning { kill(pid, SIGKILL) }
        process.waitUntilExit()
    }

    /// Outcome of a case's legal use.
    func legal(_ name: String) throws -> String { try ask("legal " + name) }

    /// Outcome of its hostile input.
    func hostile(_ name: String) throws -> String { try ask("hostile " + name) }

    /// What its threads did until now.
    func progress() throws -> Progress {
        let parts = try ask("progress").split(separator: "wrong ", maxSplits: 1)
        return Progress(
            rounds: (parts.first ?? "").split(separator: " ").compactMap { Int($0) },
            wrong: parts.count > 1 ? String(parts[1]).trimmingCharacters(in: .whitespaces) : "no answer")
    }

    /// The path of a library as it maps it; empty if it maps none of this name.
    func mappedPath(of library: String) throws -> String {
        let maps = try String(contentsOfFile: "/proc/\(pid)/maps", encoding: .utf8)
        let line = maps.split(separator: "\n").first { $0.hasSuffix("/" + library) }
        return line.flatMap { $0.split(separator: " ").last.map(String.init) } ?? ""
    }

    private func ask(_ question: String) throws -> String {
        try input.fileHandleForWriting.write(contentsOf: Data((question + "\n").utf8))
        return try line()
    }

    private func line() throws -> String {
        let descriptor = output.fileHandleForReading.fileDescriptor
        while true {
            if let end = rest.firstIndex(of: 10) {
                let text = String(decoding: rest[..<end], as: UTF8.self)
                rest.removeSubrange(...end)
                return text
            }
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            var ready = poll(&entry, 1, Self.patience)
            while ready < 0, errno == EINTR { ready = poll(&entry, 1, Self.patience) }
            var bytes = [UInt8](repeating: 0, count: 4096)
            guard ready > 0 else { throw Failure(text: "the victim does not answer") }
            let count = read(descriptor, &bytes, bytes.count)
            guard count > 0 else { throw Failure(text: "the victim ended") }
            rest += bytes.prefix(count)
        }
    }
}
