//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// One process as the command line names it: by its pid, or by the identifier of a process instance, which never
/// means another process that got the same pid later.
package struct ProcessName: Sendable, Equatable {
    /// The process id.
    package var pid: Int32
    /// `pid-start-device-inode` as `targets` prints it; nil where only the pid was given.
    package var instance: String?

    /// Reads a name; nil for anything else.
    package init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard let first = parts.first, !first.hasPrefix("+"), let pid = Int32(first), pid > 0 else { return nil }
        let numbers = parts.dropFirst()
        guard numbers.isEmpty || numbers.count == 3, numbers.allSatisfy(Self.isHexadecimal) else { return nil }
        self.pid = pid
        instance = numbers.isEmpty ? nil : text
    }

    private static func isHexadecimal(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }
}

/// The processes that a command is about.
package enum ProcessSelection: Sendable, Equatable {
    /// These, in the order given, each once.
    case processes([ProcessName])
    /// All that can be seen.
    case all
}

/// How a command writes its result.
package enum OutputFormat: String, Sendable {
    /// For people.
    case text
    /// One JSON document with a `schema` member.
    case json
}

extension Arguments {
    /// The format that `--format` asks for; text if it was not given.
    /// - Throws: `UsageError` for a format that is not known.
    package func format() throws(UsageError) -> OutputFormat {
        guard let value = value(of: "format") else { return .text }
        guard let format = OutputFormat(rawValue: value) else {
            throw UsageError("unknown format '\(value)': it is text or json")
        }
        return format
    }

    /// The processes that `--pid` and `--all` name, or nil if neither was given.
    /// - Throws: `UsageError` for what names no process, and for both at once.
    package func selection() throws(UsageError) -> ProcessSelection? {
        var processes: [ProcessName] = []
        for value in values(of: "pid") {
            guard let name = ProcessName(value) else {
                throw UsageError("'\(value)' is neither a process id nor the identifier of a process instance")
            }
            if !processes.contains(name) { processes.append(name) }
        }
        if has("all") {
            guard processes.isEmpty else { throw UsageError("--pid and --all exclude each other") }
            return .all
        }
        return processes.isEmpty ? nil : .processes(processes)
    }

    /// The time-out that `--timeout` gives, in milliseconds, or nil if it was not given. Its value is a
    /// number of seconds, or a number with the unit `ms`, `s` or `m`.
    /// - Throws: `UsageError` for anything else and for more than a day.
    package func timeoutMilliseconds() throws(UsageError) -> Int? {
        guard let value = value(of: "timeout") else { return nil }
        return try Self.milliseconds(value)
    }

    /// The milliseconds that a duration such as `500ms`, `30`, `30s` or `2m` names.
    /// - Throws: `UsageError` for anything else and for more than a day.
    package static func milliseconds(_ value: String) throws(UsageError) -> Int {
        let units: [(suffix: String, factor: Int)] = [("ms", 1), ("s", 1000), ("m", 60_000), ("", 1000)]
        for unit in units where value.hasSuffix(unit.suffix) {
            let digits = value.dropLast(unit.suffix.count)
            guard !digits.isEmpty, digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let number = Int(digits)
            else { break }
            let (result, overflow) = number.multipliedReportingOverflow(by: unit.factor)
            guard !overflow, result <= 86_400_000 else {
                throw UsageError("'\(value)' is longer than a day")
            }
            return result
        }
        throw UsageError("'\(value)' is not a duration: give seconds, or a number with ms, s or m")
    }
}
