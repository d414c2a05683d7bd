//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// How a verdict compares with the truth.
package enum Grade: String, Sendable, CaseIterable {
    case right = "right"
    /// Refused, or called changed, without need.
    case tooCareful = "too careful"
    /// Would break a use, or miss the change.
    case careless = "careless"
}

/// What came of all changes of a test.
package struct ConfusionTable: Sendable {
    /// One change.
    package struct Row: Sendable {
        package var kind: MutationClass
        package var verdict: String
        package var grade: Grade
        /// Which change it was, for people.
        package var text: String

        package init(kind: MutationClass, verdict: String, grade: Grade, text: String) {
            self.kind = kind
            self.verdict = verdict
            self.grade = grade
            self.text = text
        }
    }

    package var rows: [Row] = []

    package init() {}

    private static let verdicts = ["empty", "automatic", "quiescent", "review", "impossible"]

    /// The table in Markdown: how many changes of each class got each verdict, and how many were graded how.
    package var markdown: String {
        var lines = [
            "| class | changes | " + Self.verdicts.joined(separator: " | ") + " | "
                + Grade.allCases.map(\.rawValue).joined(separator: " | ") + " |",
            "| --- " + String(repeating: "| ---: ", count: 1 + Self.verdicts.count + Grade.allCases.count) + "|",
        ]
        let classes = MutationClass.allCases.filter { kind in rows.contains { $0.kind == kind } }
        for kind in classes { lines.append(line(kind.rawValue, rows.filter { $0.kind == kind })) }
        lines.append(line("all", rows))
        return lines.joined(separator: "\n") + "\n"
    }

    private func line(_ name: String, _ rows: [Row]) -> String {
        let counts =
            [rows.count] + Self.verdicts.map { verdict in rows.count { $0.verdict == verdict } }
            + Grade.allCases.map { grade in rows.count { $0.grade == grade } }
        return "| \(name) | " + counts.map(String.init).joined(separator: " | ") + " |"
    }

    /// A page with what lies between two marks replaced; nil where the marks are missing.
    package func page(_ page: String, mark: String) -> String? {
        guard let start = page.firstRange(of: "<!-- begin \(mark) -->\n"),
            let end = page.firstRange(of: "<!-- end \(mark) -->"), start.upperBound <= end.lowerBound
        else { return nil }
        return page[..<start.upperBound] + markdown + page[end.lowerBound...]
    }
}
