//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The figures that the demo ends with.
struct Report {
    /// One row of the table.
    struct Row {
        var patch: BuiltPatch
        /// What clients saw, phase by phase.
        var seen: [String] = []
    }
    /// One change of all processes.
    struct ChangeRow {
        var step: String
        var threads: Int
        var gap: Gap
        /// Longest stop of the service and of nginx's processes, as the tool saw it, in ns.
        var serviceStop: Int
        var nginxStop: Int
    }

    /// Version of the vulnerable package.
    var packageVersion = ""
    /// Processes that were patched.
    var processes = 0
    /// Sessions that were open at the end.
    var sessionsKept = 0
    /// Sessions that were opened at the beginning.
    var sessionsOpened = 0
    /// Requests of all clients that were answered.
    var requests = 0
    /// Requests of all clients that failed.
    var failed = 0
    /// Longest time in which all sessions of a server were answered once, in ns.
    var longestRound: UInt64 = 0
    /// CPU seconds of each step.
    var steps: [(name: String, cpuSeconds: Double)] = []

    private var rows: [Row] = []
    private var changes: [ChangeRow] = []

    /// Notes what clients saw of a fix in one phase.
    mutating func seen(_ patch: BuiltPatch, at index: Int, _ answers: String) {
        if index == rows.count { rows.append(Row(patch: patch)) }
        rows[index].seen.append(answers)
    }

    /// Notes what a change cost.
    mutating func changed(_ step: String, stops: [StopReport], service: Int, gap: Gap) {
        let threads = Dictionary(grouping: stops, by: \.pid).values.reduce(0) { sum, reports in
            sum + (reports.map(\.threads).max() ?? 0)
        }
        changes.append(
            ChangeRow(
                step: step, threads: threads, gap: gap,
                serviceStop: stops.filter { $0.pid == service }.map(\.longestStop).max() ?? 0,
                nginxStop: stops.filter { $0.pid != service }.map(\.longestStop).max() ?? 0))
    }

    /// Prints everything.
    func print(_ checks: Checks) {
        let threads = changes.map(\.threads).max() ?? 0
        show(
            [
                "CVE", "package", "functions replaced", "processes", "threads",
                "what clients saw: before, applied, undone, again",
            ],
            rows.map { row in
                [
                    row.patch.name + (row.patch.partOf.isEmpty ? "" : " (part)"), "libssl3 \(packageVersion)",
                    row.patch.functions.joined(separator: " "), String(processes), String(threads),
                    row.seen.joined(separator: "; "),
                ]
            })
        for row in rows where !row.patch.partOf.isEmpty {
            Swift.print("(part) \(row.patch.name): \(row.patch.partOf)")
        }
        show(
            [
                "step", "longest stop from inside", "without waits for a CPU", "as the tool saw it",
                "nginx, as the tool saw it",
            ],
            changes.map { change in
                [
                    change.step, milliseconds(change.gap.whole), milliseconds(change.gap.withoutWaiting),
                    milliseconds(change.serviceStop), milliseconds(change.nginxStop),
                ]
            })
        show(["step", "CPU seconds"], steps.map { [$0.name, decimal($0.cpuSeconds, places: 2)] })
        Swift.print("")
        Swift.print("sessions kept: \(sessionsKept) of \(sessionsOpened)")
        Swift.print("requests answered: \(requests)")
        Swift.print("requests failed: \(failed)")
        Swift.print("slowest round over all sessions of a server: \(milliseconds(Int(longestRound)))")
        Swift.print("checks: \(checks.all.count - checks.failed.count) of \(checks.all.count) met")
        for check in checks.failed { Swift.print("FAILED: \(check.name): \(check.found)") }
    }

    private func show(_ titles: [String], _ rows: [[String]]) {
        let widths = titles.indices.map { column in
            ([titles] + rows).map { $0[column].count }.max() ?? 0
        }
        Swift.print("")
        for row in [titles, widths.map { String(repeating: "-", count: $0) }] + rows {
            let cells = zip(row, widths).map { text, width in
                text + String(repeating: " ", count: width - text.count)
            }
            Swift.print("| " + cells.joined(separator: " | ") + " |")
        }
    }
}
