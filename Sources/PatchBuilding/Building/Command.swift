//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Glibc
import Subprocess

/// A tool of the system, run to its end.
struct Command: Sendable {
    /// Name, looked up in PATH, or absolute path.
    var name: String
    /// Arguments.
    var arguments: [String]
    /// Directory to run in; nil for the current one.
    var directory: String?
    /// Variables to set, or with nil to remove, on top of the process's own.
    var environment: [String: String?]

    /// What a tool left behind.
    struct Result: Sendable {
        /// Exit status; -1 for an end by a signal.
        var status: Int
        /// Standard output.
        var output: [UInt8]
        /// The end of standard error.
        var errors: String

        /// Standard output as text, ill-formed parts replaced.
        var text: String { String(decoding: output, as: UTF8.self) }
    }

    init(
        _ name: String, _ arguments: [String], in directory: String? = nil, environment: [String: String?] = [:]
    ) {
        self.name = name
        self.arguments = arguments
        self.directory = directory
        self.environment = environment
    }

    /// Runs it, whatever its exit status.
    ///
    /// - Throws: `PreparationError` with `systemFailed` if it cannot be started or says far too much.
    func result() async throws(PreparationError) -> Result {
        // `env` changes the directory: so no path type of another library is needed here.
        let prefix = directory.map { ["-C", $0, "--", name] }
        var updates: [Environment.Key: String?] = [
            // What tools say is read by us in some places: one language.
            "LC_ALL": "C.UTF-8", "LANGUAGE": nil,
        ]
        for (key, value) in environment { updates[Environment.Key(stringLiteral: key)] = .some(value) }
        do {
            let outcome = try await run(
                prefix == nil && !name.hasPrefix("/") ? .name(name) : .name("env"),
                arguments: Arguments((prefix ?? (name.hasPrefix("/") ? [name] : [])) + arguments),
                environment: .inherit.updating(updates),
                output: .bytes(limit: 64 << 20), error: .string(limit: 16 << 20))
            let status: Int
            if case .exited(let code) = outcome.terminationStatus { status = Int(code) } else { status = -1 }
            return Result(status: status, output: outcome.standardOutput, errors: outcome.standardError)
        } catch {
            throw PreparationError(.systemFailed, "'\(name)' could not be run", details: "\(error)")
        }
    }

    /// Runs it and expects success.
    ///
    /// - Parameters:
    ///   - code: the kind of error that a failure is.
    ///   - purpose: what was tried, for the message: `unpacking a.tar.gz`.
    /// - Returns: standard output.
    /// - Throws: `PreparationError`.
    @discardableResult
    func succeed(or code: PreparationError.Code, _ purpose: String) async throws(PreparationError) -> [UInt8] {
        let result = try await result()
        guard result.status == 0 else {
            throw PreparationError(
                code, "\(purpose) failed ('\(name)' ended with \(result.status))",
                details: Command.end(result.errors.isEmpty ? result.text : result.errors))
        }
        return result.output
    }

    /// The last lines of what a tool said.
    static func end(_ text: String, lines: Int = 20) -> String {
        text.split(separator: "\n").suffix(lines).joined(separator: "\n")
    }

    /// Processor seconds that this process and the tools that it ran to their end have used.
    static func processorSeconds() -> Double {
        var total = 0.0
        for who in [RUSAGE_SELF.rawValue, RUSAGE_CHILDREN.rawValue] {
            var usage = rusage()
            guard getrusage(__rusage_who_t(who), &usage) == 0 else { continue }
            for time in [usage.ru_utime, usage.ru_stime] {
                total += Double(time.tv_sec) + Double(time.tv_usec) / 1e6
            }
        }
        return total
    }
}
