//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import Commands
import PatchPlan
import ProcessInspection
package import StrictJSON

/// What `targets` says.
package struct TargetsReport: Sendable {
    /// What was seen.
    package var observation: Observation
    /// Whether reasons are followed by what can be done.
    package var isExplaining: Bool

    /// Makes a report.
    package init(_ observation: Observation, isExplaining: Bool) {
        self.observation = observation
        self.isExplaining = isExplaining
    }

    /// Threads of the kernel are counted, not listed.
    private var processes: [ObservedProcess] { observation.processes.filter { !$0.isKernelThread } }
    private var kernelThreads: Int { observation.processes.count - processes.count }

    /// The document `moult.targets/1`.
    package var json: JSONValue {
        [
            "schema": "moult.targets/1",
            "processes": .array(processes.map(Self.json)),
            "unobserved": .array(observation.unobserved.map(\.json)),
            "kernel-threads": .integer(kernelThreads),
            "not-covered": Coverage.json,
        ]
    }

    private static func json(_ process: ObservedProcess) -> JSONValue {
        [
            "pid": .integer(Int(process.instance.pid)),
            "instance": .string(process.instance.identifier),
            "name": .string(process.name),
            "threads": .integer(process.threads),
            "patchable": .bool(process.patchability.isPatchable),
            "reasons": .array(process.patchability.reasons.map(\.refusal.json)),
            "not-covered": .array(process.gaps.map(JSONValue.string)),
            "builds": .array(process.objects.map { json($0, in: process) }),
            "patches": .array(process.patches.map(\.json)),
        ]
    }

    private static func json(_ object: LoadedObject, in process: ObservedProcess) -> JSONValue {
        [
            "build-id": object.buildID.map { .string($0.hexadecimal) } ?? .null,
            "kind": .string(object.kind.rawValue),
            "file": .string(object.displayName),
            "deleted": .bool(object.isDeleted),
            "machine": .integer(Int(object.machine)),
            "patched": .array(process.patches(of: object).map { .string($0.memory.labels.identifier) }),
        ]
    }

    /// The same as lines for people.
    package var lines: [String] {
        var lines: [String] = []
        for process in processes {
            let can = process.patchability.isPatchable ? "patchable" : "not patchable"
            let threads = process.threads == 1 ? "1 thread" : "\(process.threads) threads"
            var line = "\(process.instance.pid) \(process.name): \(threads), \(can)"
            if !process.gaps.isEmpty { line += ", not covered inside: \(process.gaps.joined(separator: ", "))" }
            lines.append(line)
            for refusal in process.patchability.reasons.map(\.refusal) {
                lines.append("  \(refusal.reason.rawValue): \(refusal.sentence)")
                if isExplaining { lines.append("    remedy: \(refusal.remedy)") }
            }
            for object in process.objects where object.kind != .vdso {
                var line = "  \(object.buildID?.hexadecimal ?? "(no build-id)") \(object.displayName)"
                if object.isDeleted { line += " (deleted or replaced on disk)" }
                for patch in process.patches(of: object) {
                    line += " [\(patch.memory.labels.identifier): \(patch.state.rawValue)]"
                }
                lines.append(line)
            }
        }
        for process in observation.unobserved { lines.append(contentsOf: process.lines(isExplaining: isExplaining)) }
        lines.append("processes: \(processes.count); threads of the kernel, not listed: \(kernelThreads)")
        return lines + Coverage.lines
    }
}

extension ObservedProcess {
    /// What in this process is not covered, by the names of `Coverage`.
    fileprivate var gaps: [String] {
        (notCovered.isGo ? ["go"] : []) + (notCovered.isJava ? ["java"] : [])
    }

    /// The patches of one object that are in, or were left, in this process.
    fileprivate func patches(of object: LoadedObject) -> [ObservedPatch] {
        patches.filter {
            $0.isPresent && $0.memory.buildID == object.buildID && $0.memory.loadBias == object.loadBias
        }
    }
}
