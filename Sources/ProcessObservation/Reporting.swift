//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import Commands
package import PatchPlan
import ProcessInspection
package import StrictJSON

extension Refusal {
    /// The members that a reason has in every document.
    package var json: JSONValue {
        ["reason": .string(reason.rawValue), "message": .string(sentence), "remedy": .string(remedy)]
    }
}

extension UnobservedProcess {
    /// As JSON.
    package var json: JSONValue {
        let refusal = self.refusal
        return [
            "pid": .integer(Int(pid)), "reason": .string(refusal.reason.rawValue),
            "message": .string(refusal.sentence), "remedy": .string(refusal.remedy),
        ]
    }

    /// As lines for people.
    package func lines(isExplaining: Bool) -> [String] {
        let refusal = self.refusal
        let line = "\(pid): not looked at: \(refusal.reason.rawValue): \(refusal.sentence)"
        return isExplaining ? [line, "    remedy: \(refusal.remedy)"] : [line]
    }
}

extension ObservedPatch {
    /// As JSON.
    package var json: JSONValue {
        [
            "id": .string(memory.labels.identifier),
            "digest": .string(memory.patchDigest.hexadecimal),
            "state": .string(state.rawValue),
            "transaction": .string(memory.transaction.hexadecimal),
            "target": [
                "name": .string(memory.labels.targetName),
                "build-id": .string(memory.buildID.hexadecimal),
                "package": .string(memory.labels.package),
                "version": .string(memory.labels.packageVersion),
            ],
            "cves": .array(memory.labels.cves.map(JSONValue.string)),
            "part-of": .string(memory.labels.partOf),
            "functions": .array(memory.entries.map { .string($0.name) }),
        ]
    }
}
