//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import LivePatch
import Testing

/// Documentation/live-patch-format.md shows the example of these tests, byte by byte.
@Suite struct FormatDocumentTests {
    /// The file in the manner of `xxd -g 1`, without the text column.
    private func dump(_ bytes: [UInt8]) -> String {
        func hex(_ value: Int, _ digits: Int) -> String {
            let text = String(value, radix: 16)
            return String(repeating: "0", count: max(0, digits - text.count)) + text
        }
        return stride(from: 0, to: bytes.count, by: 16).map { start in
            hex(start, 8) + ": "
                + bytes[start..<min(start + 16, bytes.count)].map { hex(Int($0), 2) }.joined(separator: " ")
        }.joined(separator: "\n")
    }

    /// `MOULT_EXAMPLE=/tmp/example.o swift test --filter FormatDocumentTests` writes the example's file.
    @Test func documentShowsTheExample() throws {
        let file = try write(Example.patch)
        if let path = ProcessInfo.processInfo.environment["MOULT_EXAMPLE"] {
            try Data(file).write(to: URL(fileURLWithPath: path))
            try Data(dump(file).utf8).write(to: URL(fileURLWithPath: path + ".txt"))
        }
        let document = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Documentation/live-patch-format.md")
        let text = String(decoding: try Data(contentsOf: document), as: UTF8.self)
        #expect(text.contains(dump(file)), "the document's example is not what the writer writes")
    }
}
