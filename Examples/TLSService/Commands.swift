//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Glibc
import OpenSSLCases

/// The service's commands: one line in, one line out.
struct Commands: Sendable {
    /// Measures how long the process stood still.
    let meter: Meter
    /// Commands that make use of a hole, and the cases that they are.
    private static let cases = [
        "ocb": "CVE-2026-75803", "ccm": "ccm-final-tag", "cmp-parameter": "CVE-2026-63076",
        "cmp-certificates": "CVE-2026-63074", "crmf": "CVE-2026-42767",
    ]

    /// Makes the keys that the cases need, which would take the first client's time.
    static func prepare() throws(ServiceError) {
        guard let outcome = openssl_cases_prepare(), strcmp(outcome, "good") == 0 else {
            throw ServiceError(code: .library, reason: "the keys of the cases cannot be made")
        }
    }

    /// The answer to one line. Unknown commands answer `error …`, failures `error …` or `bad: …`.
    func answer(_ line: String) -> String {
        let words = line.split(separator: " ", maxSplits: 1)
        let command = words.first.map(String.init) ?? ""
        let rest = words.count > 1 ? String(words[1]) : ""
        switch command {
        case "echo": return rest
        case "gap-start":
            do throws(ServiceError) {
                return try meter.begin(milliseconds: Int(rest) ?? 2000)
            } catch {
                return "error \(error.reason)"
            }
        case "gap": return meter.end()
        case "threads": return String(Self.threads())
        case "pid": return String(getpid())
        default: return Self.outcome(command) ?? "error unknown command"
        }
    }

    /// What a case's hostile input gives, or with `-good` behind the command its legal use; nil if there is none.
    private static func outcome(_ command: String) -> String? {
        let isLegal = command.hasSuffix("-good")
        guard let name = cases[isLegal ? String(command.dropLast(5)) : command],
            let outcome = isLegal ? openssl_case_legal(name) : openssl_case_hostile(name)
        else { return nil }
        return String(cString: outcome)
    }

    /// Number of this process's threads.
    private static func threads() -> Int {
        guard let directory = opendir("/proc/self/task") else { return 0 }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        return count - 2
    }
}
