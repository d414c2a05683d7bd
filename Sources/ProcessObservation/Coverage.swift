//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import StrictJSON

/// What live patches do not reach. Said wherever someone might take silence for safety.
package struct Coverage: Sendable, Equatable {
    /// The stable name.
    package var name: String
    /// Why, as a sentence.
    package var sentence: String

    /// Everything that is not covered, whatever is found in processes.
    package static let gaps = [
        Coverage(name: "kernel", sentence: "The kernel and its modules are not looked at."),
        Coverage(
            name: "go", sentence: "Go programs carry their libraries inside: a patched libssl does not reach them."),
        Coverage(
            name: "java", sentence: "Code of class files is not ELF: only the libraries of the machine itself are."),
        Coverage(
            name: "bundled-copies",
            sentence: "Copies of a library that are built into another program, or shipped with it, are other builds."),
    ]

    /// As JSON.
    package static var json: JSONValue {
        .array(gaps.map { ["name": .string($0.name), "text": .string($0.sentence)] })
    }

    /// As lines of text.
    package static var lines: [String] {
        ["Not covered:"] + gaps.map { "  \($0.name): \($0.sentence)" }
    }
}
