//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Glibc
import Subprocess

/// A tool of the system, run to its end.
struct Command: Sendable {
    /// Name, looked up in the directories of `path`, or absolute path.
    var name: String
    /// Arguments.
    var arguments: [String]
    /// Directory to run in, inside the sandbox if there is one; nil for the current one.
    var directory: String?
    /// Variables to set, or with nil to remove, on top of the process's own; in a sandbox, on top of its own.
    var environment: [String: String?]
    /// Where it is run; nil for this machine as it is.
    var sandbox: Sandbox?

    /// Directories of the system's tools: what else is on a user's PATH does not take part.
    static let path = "/usr/sbin:/usr/bin:/sbin:/bin"

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
        _ name: String, _ arguments: [String], in directory: String? = nil, environment: [String: String?] = [:],
        sandbox: Sandbox? = nil
    ) {
        self.name = name
        self.arguments = arguments
        self.directory = directory
        self.environment = environment
        self.sandbox = sandbox
    }

    /// Runs it, whatever its exit status.
    ///
    /// - Throws: `PreparationError` with `systemFailed` if it cannot be started or says far too much.
    func result() async throws(PreparationError) -> Result {
        var updates: [Environment.Key: String?] = [
            // What tools say is read by us in some places: one language.
            "LC_ALL": "C.UTF-8", "LANGUAGE": nil, "PATH": Command.path,
        ]
        // What we start ends with us, however we end. The signal comes when the thread ends that started it, and
        // the library starts everything from one thread that lives as long as the process (prctl(2)).
        var words = ["--pdeathsig"]
        var options = PlatformOptions()
        if let sandbox {
            // bwrap(1) alone is not enough: killed while it makes its namespaces it leaves a process behind that
            // waits for it for ever. So a shell is told of our end, and ends all of its group, which that process
            // has not left by then. In a group of their own: ours may hold the shell that called us.
            options.processGroupID = 0
            words += ["TERM", "--", "sh", "-c", "trap 'kill -KILL 0' TERM; \"$@\" & wait $!", "sh", "bwrap"]
            words += sandbox.arguments(
                running: name, arguments, in: directory, variables: environment.compactMapValues(\.self))
        } else {
            words += ["KILL", "--"]
            for (key, value) in environment { updates[Environment.Key(stringLiteral: key)] = .some(value) }
            // `env` changes the directory: so no path type of another library is needed here.
            if let directory { words += ["env", "-C", directory, "--"] }
            words += [name] + arguments
        }
        do {
            let outcome = try await run(
                .name("setpriv"), arguments: Arguments(words), environment: .inherit.updating(updates),
                platformOptions: options, output: .bytes(limit: 64 << 20), error: .string(limit: 16 << 20))
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
            throw PreparationError.ofTool(
                code, "\(purpose) failed ('\(name)' ended with \(result.status))",
                said: result.errors.isEmpty ? result.text : result.errors)
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
