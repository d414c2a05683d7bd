//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Commands
import Foundation
import Testing

@Suite("JSONValue")
struct JSONValueTests {
    @Test("order is kept and nothing is left to chance")
    func order() {
        let value: JSONValue = ["schema": "x/1", "b": [1, -2, true, .null], "a": [:], "empty": []]
        #expect(
            value.text == """
                {
                  "schema": "x/1",
                  "b": [
                    1,
                    -2,
                    true,
                    null
                  ],
                  "a": {},
                  "empty": []
                }
                """)
    }

    @Test("another parser reads every scalar back")
    func roundTrip() throws {
        var string = ""
        for value in UInt32(0)...0x2100 {
            if let scalar = Unicode.Scalar(value) { string.unicodeScalars.append(scalar) }
        }
        string += "\u{1f600}\u{ffff}"
        let text = JSONValue.array([.string(string)]).text
        let parsed = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String])
        #expect(parsed.first.map { Array($0.unicodeScalars) } == Array(string.unicodeScalars))
        #expect(!text.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" || (0x7f..<0xa0).contains($0.value) })
    }

    @Test("text for terminals holds nothing that a terminal obeys")
    func printable() {
        #expect("nginx: worker".printable == "nginx: worker")
        #expect("a\u{1b}[2Jb\n".printable == "a\\u{1b}[2Jb\\u{a}")
        #expect("\u{202e}evil\u{9b}".printable == "\\u{202e}evil\\u{9b}")
        #expect("Grüße 日本".printable == "Grüße 日本")
    }
}
