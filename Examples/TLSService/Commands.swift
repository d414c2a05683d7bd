//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Glibc

/// The service's commands: one line in, one line out.
struct Commands: Sendable {
    /// Measures how long the process stood still.
    let meter: Meter
    /// A certificate to put into messages.
    let certificate: [UInt8]

    /// The answer to one line. Unknown commands and failures answer `error …`.
    func answer(_ line: String) -> String {
        let words = line.split(separator: " ", maxSplits: 1)
        let rest = words.count > 1 ? String(words[1]) : ""
        do throws(ServiceError) {
            switch words.first {
            case "echo": return rest
            case "ocb": return try CipherProbe.ocb.finalWithWrongTag()
            case "ocb-good": return try CipherProbe.ocb.legalUse()
            case "ccm": return try CipherProbe.ccm.finalWithWrongTag()
            case "ccm-good": return try CipherProbe.ccm.legalUse()
            case "cmp-parameter": return try ManagementProbe(certificate: certificate).wronglyTypedParameter()
            case "cmp-good": return try ManagementProbe(certificate: certificate).legalUse()
            case "cmp-certificates": return try ManagementProbe(certificate: certificate).certificatesKept()
            case "crmf": return try EncryptedValueProbe(certificate: certificate).withoutParameter()
            case "crmf-good": return try EncryptedValueProbe(certificate: certificate).legalUse()
            case "gap-start": return try meter.begin(milliseconds: Int(rest) ?? 2000)
            case "gap": return meter.end()
            case "threads": return String(Self.threads())
            case "pid": return String(getpid())
            default: return "error unknown command"
            }
        } catch {
            return "error \(error.reason)"
        }
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
