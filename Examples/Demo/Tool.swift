//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials

/// `moult`, as people call it, with its JSON read.
struct Tool {
    /// Runs it.
    let runner: Runner
    /// The executable.
    let executable: String

    /// A tool in a directory.
    init(runner: Runner, directory: String) throws(DemoError) {
        self.runner = runner
        executable = directory + "/moult"
        guard FileManager.default.isExecutableFile(atPath: executable) else {
            throw DemoError(code: .missing, reason: "\(executable) is not there; run 'make build'")
        }
    }

    /// Runs a command and gives its exit code and its document.
    func run(_ arguments: [String], step: String, showErrors: Bool = false) throws(DemoError) -> (
        code: Int32, document: JSON
    ) {
        let result = try runner.run(
            [executable] + arguments + ["--format", "json"], step: step, showErrors: showErrors)
        return (result.code, JSON(result.output))
    }
}

/// A JSON document of which only a few members are looked at.
struct JSON {
    private let value: JSONNode?

    /// Reads a document; what cannot be read has no members.
    init(_ text: String) { value = try? JSONDecoder().decode(JSONNode.self, from: Data(text.utf8)) }
    private init(_ value: JSONNode?) { self.value = value }

    /// A member of an object.
    subscript(_ name: String) -> JSON {
        if case .object(let members) = value { return JSON(members[name]) }
        return JSON(nil as JSONNode?)
    }
    /// Elements of an array.
    var elements: [JSON] {
        if case .array(let elements) = value { return elements.map { JSON($0) } }
        return []
    }
    /// A string.
    var string: String? {
        if case .string(let text) = value { return text }
        return nil
    }
    /// A whole number.
    var integer: Int? {
        if case .number(let number) = value { return Int(exactly: number) }
        return nil
    }
}

private enum JSONNode: Decodable {
    case object([String: JSONNode])
    case array([JSONNode])
    case string(String)
    case number(Double)
    case other

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let value = try? container.decode([String: JSONNode].self) {
            self = .object(value)
        } else if let value = try? container.decode([JSONNode].self) {
            self = .array(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else {
            self = .other
        }
    }
}
