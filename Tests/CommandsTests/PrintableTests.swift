//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Commands
import Testing

@Suite("Printable text")
struct PrintableTests {
    @Test("text for terminals holds nothing that a terminal obeys")
    func printable() {
        #expect("nginx: worker".printable == "nginx: worker")
        #expect("a\u{1b}[2Jb\n".printable == "a\\u{1b}[2Jb\\u{a}")
        #expect("\u{202e}evil\u{9b}".printable == "\\u{202e}evil\\u{9b}")
        #expect("Grüße 日本".printable == "Grüße 日本")
    }
}
