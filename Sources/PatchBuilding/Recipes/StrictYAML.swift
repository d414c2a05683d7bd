//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Yams

/// Reads one YAML file strictly: every key must be known, every value of the expected kind, and each
/// complaint names file and line.
struct StrictYAML {
    /// Name of the file in complaints.
    let file: String
    /// The mapping that the file consists of.
    let root: Fields

    /// A mapping whose keys were checked.
    struct Fields {
        let file: String
        let line: Int
        let nodes: [String: Node]

        /// The value of a key, if the key is there.
        func optional(_ key: String) -> Node? { nodes[key] }

        /// The value of a key that must be there.
        func required(_ key: String) throws(PreparationError) -> Node {
            guard let node = nodes[key] else { throw complaint(line, "the key '\(key)' is missing") }
            return node
        }

        /// A complaint about a line.
        func complaint(_ line: Int, _ text: String) -> PreparationError {
            PreparationError(.malformedRecipe, "\(file):\(line): \(text)")
        }

        /// A complaint about a value.
        func complaint(_ node: Node, _ text: String) -> PreparationError {
            complaint(node.mark?.line ?? line, text)
        }

        /// A string that is not empty.
        func string(_ node: Node) throws(PreparationError) -> String {
            guard case .scalar(let scalar) = node, !scalar.string.isEmpty, !scalar.string.utf8.contains(0) else {
                throw complaint(node, "a text is expected here")
            }
            return scalar.string
        }

        /// A string that a rule accepts.
        func string(_ node: Node, is rule: (String) -> Bool, called name: String) throws(PreparationError) -> String {
            let text = try string(node)
            guard rule(text) else { throw complaint(node, "'\(text)' is not \(name)") }
            return text
        }

        /// A counting number.
        func number(_ node: Node) throws(PreparationError) -> Int {
            guard let number = Int(try string(node)), number > 0 else {
                throw complaint(node, "a number from 1 is expected here")
            }
            return number
        }

        /// `true` or `false`.
        func flag(_ node: Node) throws(PreparationError) -> Bool {
            switch try string(node) {
            case "true": return true
            case "false": return false
            default: throw complaint(node, "true or false is expected here")
            }
        }

        /// The nodes of a list.
        func list(_ node: Node) throws(PreparationError) -> [Node] {
            guard case .sequence(let sequence) = node else { throw complaint(node, "a list is expected here") }
            return Array(sequence)
        }

        /// A list of strings, each accepted by a rule, none twice.
        func strings(
            _ node: Node, is rule: (String) -> Bool, called name: String
        ) throws(PreparationError) -> [String] {
            var found: [String] = []
            for element in try list(node) {
                let text = try string(element, is: rule, called: name)
                guard !found.contains(text) else { throw complaint(element, "'\(text)' is named twice") }
                found.append(text)
            }
            return found
        }

        /// A mapping below this one.
        func fields(_ node: Node, keys: Set<String>) throws(PreparationError) -> Fields {
            try Fields(file: file, node: node, keys: keys)
        }

        /// Checks the keys of a mapping; `keys` nil accepts any.
        init(file: String, node: Node, keys: Set<String>?) throws(PreparationError) {
            self.file = file
            self.line = node.mark?.line ?? 1
            var nodes: [String: Node] = [:]
            guard case .mapping(let mapping) = node else {
                throw PreparationError(.malformedRecipe, "\(file):\(line): keys with values are expected here")
            }
            for (key, value) in mapping {
                let line = key.mark?.line ?? self.line
                guard case .scalar(let scalar) = key else {
                    throw PreparationError(.malformedRecipe, "\(file):\(line): a key must be a text")
                }
                if let keys, !keys.contains(scalar.string) {
                    let known = keys.sorted().joined(separator: ", ")
                    throw PreparationError(
                        .malformedRecipe,
                        "\(file):\(line): the key '\(scalar.string)' is not known here (known: \(known))")
                }
                guard nodes.updateValue(value, forKey: scalar.string) == nil else {
                    throw PreparationError(
                        .malformedRecipe, "\(file):\(line): the key '\(scalar.string)' is there twice")
                }
            }
            self.nodes = nodes
        }
    }

    /// Parses a text.
    init(text: String, file: String, keys: Set<String>) throws(PreparationError) {
        let node: Node?
        do {
            node = try Yams.compose(yaml: text)
        } catch {
            throw PreparationError(.malformedRecipe, "\(file): not a YAML document", details: "\(error)")
        }
        guard let node else { throw PreparationError(.malformedRecipe, "\(file):1: the file is empty") }
        self.file = file
        self.root = try Fields(file: file, node: node, keys: keys)
    }
}
