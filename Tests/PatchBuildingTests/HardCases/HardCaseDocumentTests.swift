//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import Testing

/// `Documentation/hard-cases.md` names tests; each of them is in the sources.
@Suite("The page of hard cases")
struct HardCaseDocumentTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    /// Sources of tests by path.
    private static func sources() throws -> [String] {
        let tests = root.appendingPathComponent("Tests")
        let enumerator = try #require(FileManager.default.enumerator(atPath: tests.path))
        return try enumerator.compactMap { $0 as? String }.filter { $0.hasSuffix(".swift") }.map { path in
            try String(contentsOf: tests.appendingPathComponent(path), encoding: .utf8)
        }
    }

    @Test("Every test that the page names is there")
    func names() throws {
        let page = try String(
            contentsOf: Self.root.appendingPathComponent("Documentation/hard-cases.md"), encoding: .utf8)
        let names = page.matches(of: /`([A-Z][A-Za-z]+Tests)\/([A-Za-z]+)`/)
        #expect(names.count > 50)
        let sources = try Self.sources()
        for name in names {
            let isThere = sources.contains { source in
                source.contains("struct \(name.output.1) ") && source.contains("func \(name.output.2)(")
            }
            #expect(isThere, "\(name.output.0)")
        }
        // Each row has one.
        for line in page.split(separator: "\n") where line.hasPrefix("| ") && !line.hasPrefix("| case") {
            #expect(line.hasPrefix("| ---") || line.contains("Tests/"), "\(line)")
        }
    }
}
