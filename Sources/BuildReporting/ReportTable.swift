//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Commands
import PatchBuilding

/// A report as a table for a terminal: one line per fix, then how many of each verdict.
package struct ReportTable {
    private let results: [BuildResult]

    /// Makes a table of results.
    package init(_ results: [BuildResult]) {
        self.results = results
    }

    /// The lines.
    package var lines: [String] {
        let head = ["fix", "verdict", "functions", "bytes", "seconds", "reasons"]
        let rows = [head] + results.map(Self.row)
        let widths = head.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        var lines = rows.map { row in
            row.enumerated().map { column, cell in
                // The last column has no edge to keep.
                column == head.count - 1 ? cell : cell.padded(to: widths[column])
            }.joined(separator: "  ")
        }
        lines.insert(widths.map { String(repeating: "-", count: $0) }.joined(separator: "  "), at: 1)
        var counts: [String: Int] = [:]
        for result in results { counts[result.word, default: 0] += 1 }
        lines.append(
            "\(results.count) fix\(results.count == 1 ? "" : "es"): "
                + BuildResult.words.compactMap { word in counts[word].map { "\($0) \(word)" } }.joined(separator: ", "))
        return lines
    }

    private static func row(_ result: BuildResult) -> [String] {
        let functions = result.outcome?.functions ?? []
        let before = functions.compactMap(\.sizeBefore).reduce(0, +)
        let after = functions.compactMap(\.sizeAfter).reduce(0, +)
        var reasons: [String] = result.failure.map { [$0.reason] } ?? []
        for reason in result.outcome?.judgement.reasons ?? [] {
            let text = reason.subject.isEmpty ? reason.code.rawValue : "\(reason.code.rawValue) \(reason.subject)"
            if !reasons.contains(text) { reasons.append(text) }
        }
        return [
            result.name, result.word, String(functions.count), functions.isEmpty ? "" : "\(before) -> \(after)",
            Decimal.tenths(result.seconds), reasons.joined(separator: "; "),
        ]
    }
}

/// Numbers for people.
enum Decimal {
    /// Seconds with one digit behind the point.
    static func tenths(_ seconds: Double) -> String {
        let tenths = Int((seconds * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}

extension String {
    /// The text with spaces behind it, up to a width.
    fileprivate func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}
