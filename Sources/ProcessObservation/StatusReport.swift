//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Commands
import PatchPlan
import ProcessInspection
package import StrictJSON

/// What `status` says.
package struct StatusReport: Sendable {
    /// What was decided.
    package var status: AppliedStatus
    /// Whether reasons are followed by what can be done.
    package var isExplaining: Bool

    /// Makes a report.
    package init(_ status: AppliedStatus, isExplaining: Bool) {
        self.status = status
        self.isExplaining = isExplaining
    }

    /// The document `moult.status/1`.
    package var json: JSONValue {
        [
            "schema": "moult.status/1",
            "result": .string(status.result.rawValue),
            "exit-code": .integer(Int(status.result.exitCode.rawValue)),
            "patches": .array(status.lines.map(Self.json)),
            "processes": .array(status.processes.map(Self.json)),
            "unobserved": .array(status.unobserved.map(\.json)),
            "not-covered": Coverage.json,
        ]
    }

    private static func json(_ line: AppliedStatus.Line) -> JSONValue {
        [
            "id": .string(line.identifier),
            "digest": .string(line.digest.hexadecimal),
            "file": line.file.map(JSONValue.string) ?? .null,
            "target": ["name": .string(line.targetName), "build-id": .string(line.buildID.hexadecimal)],
            "cves": .array(line.cves.map(JSONValue.string)),
            "applied": .integer(line.applied.count),
            "of": .integer(line.count),
            "applied-in": json(line.applied),
            "missing-in": json(line.missing),
            "unsettled-in": json(line.unsettled),
        ]
    }

    private static func json(_ instances: [ProcessInstance]) -> JSONValue {
        .array(instances.map { .string($0.identifier) })
    }

    private static func json(_ process: ObservedProcess) -> JSONValue {
        [
            "pid": .integer(Int(process.instance.pid)),
            "instance": .string(process.instance.identifier),
            "name": .string(process.name),
            "patches": .array(process.patches.map(\.json)),
        ]
    }

    /// The same as lines for people.
    package var lines: [String] {
        var lines: [String] = []
        for line in status.lines {
            let cves =
                line.cves.isEmpty || line.cves == [line.identifier] ? "" : " (\(line.cves.joined(separator: ", ")))"
            lines.append(
                "\(line.identifier)\(cves) for \(line.targetName) \(line.buildID.hexadecimal): "
                    + "applied in \(line.applied.count) of \(line.count) processes")
            if line.count == 0 { lines.append("  no process maps this build") }
            for instance in line.missing { lines.append("  not applied in \(name(of: instance))") }
            for instance in line.unsettled { lines.append("  \(unsettled(line, instance)) in \(name(of: instance))") }
        }
        for process in status.unobserved { lines.append(contentsOf: process.lines(isExplaining: isExplaining)) }
        lines.append(sentence)
        if isExplaining { lines.append(contentsOf: ["  remedy: \(remedy)"] + Coverage.lines) }
        return lines
    }

    private func name(of instance: ProcessInstance) -> String {
        let name = status.processes.first { $0.instance == instance }?.name ?? ""
        return "\(instance.pid) \(name)"
    }

    private func unsettled(_ line: AppliedStatus.Line, _ instance: ProcessInstance) -> String {
        let process = status.processes.first { $0.instance == instance }
        let states = process?.patches.filter { $0.memory.patchDigest == line.digest }.map(\.state.rawValue) ?? []
        return states.joined(separator: ", ")
    }

    private var sentence: String {
        switch status.result {
        case .newestApplied: "newest applied"
        case .nothingApplied: "nothing applied"
        case .newerWaiting: "a newer one is waiting"
        case .notSupported: "not supported: no process maps a target of the given patches"
        case .partly: "partly applied"
        }
    }

    private var remedy: String {
        switch status.result {
        case .newestApplied: "Nothing is left to do."
        case .nothingApplied, .newerWaiting: "Apply the given patches that are missing: moult apply."
        case .notSupported: "Build a patch for the builds that 'moult targets' shows."
        case .partly: "Run 'moult apply' again: it completes what is half-way and leaves alone what is done."
        }
    }
}
