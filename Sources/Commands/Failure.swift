//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import StrictJSON

/// Why a command did not do what was asked, as it is shown: as JSON with a stable reason, or as text with a
/// remedy.
package struct Failure: Error, Sendable, Equatable {
    /// The stable name: lower case words with dashes, from the table in Documentation/command-line.md.
    package var reason: String
    /// What happened here, as a sentence for a person.
    package var message: String
    /// What a person can do about it.
    package var remedy: String

    /// Makes a failure of its parts.
    package init(reason: String, message: String, remedy: String) {
        self.reason = reason
        self.message = message
        self.remedy = remedy
    }

    /// The members that every failure has in JSON.
    package var members: JSONValue {
        ["reason": .string(reason), "message": .string(message), "remedy": .string(remedy)]
    }

    /// Reports that a whole command failed: text on standard error, or the document `moult.error/1` on
    /// standard output.
    package func report(command: String, format: OutputFormat) {
        switch format {
        case .text:
            StandardStream.error.write(line: "moult \(command): \(message.printable)")
            StandardStream.error.write(line: "  reason: \(reason)")
            StandardStream.error.write(line: "  remedy: \(remedy.printable)")
        case .json:
            let document: JSONValue = [
                "schema": "moult.error/1", "command": .string(command), "reason": .string(reason),
                "message": .string(message), "remedy": .string(remedy),
            ]
            StandardStream.output.write(line: document.canonicalText)
        }
    }
}
