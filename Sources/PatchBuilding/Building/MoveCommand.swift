//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A command that moves or copies files: `mv` or `cp`.
///
/// Some builds compile into a file of one name and link one of another.
struct MoveCommand: Sendable, Equatable {
    /// One file or directory and where it goes, from the root of the tree.
    struct Step: Sendable, Equatable {
        var from: String
        var to: String
    }

    /// What is moved or copied, in order.
    var steps: [Step]
    /// Whether what was there before stays.
    var isCopy: Bool

    /// The argument that the watch puts behind the others where the last one is a directory.
    static let directoryMark = "/"

    /// Reads a recorded command; nil if it is another kind.
    ///
    /// Source: mv(1), cp(1). What lies outside of the tree is left out.
    init?(_ command: RecordedCommand) {
        guard command.program == "mv" || command.program == "cp" else { return nil }
        isCopy = command.program == "cp"
        var operands: [String] = []
        var directory: String?
        var endsOptions = false
        var rest = command.arguments[...]
        var intoDirectory = false
        if rest.last == MoveCommand.directoryMark, rest.count > 1 {
            intoDirectory = true
            rest.removeLast()
        }
        while let argument = rest.popFirst() {
            if endsOptions || !argument.hasPrefix("-") || argument == "-" {
                operands.append(argument)
            } else if argument == "--" {
                endsOptions = true
            } else if argument == "-t" {
                directory = rest.popFirst()
            } else if argument == "-S" {
                _ = rest.popFirst()
            } else if argument.hasPrefix("--target-directory=") {
                directory = String(argument.dropFirst(19))
            }
        }
        let target: String
        if let directory {
            target = directory
        } else {
            guard let last = operands.popLast() else { return nil }
            target = last
        }
        steps = operands.compactMap { operand in
            let isInside = directory != nil || intoDirectory || operands.count > 1
            guard let from = command.pathInTree(operand),
                let to = command.pathInTree(isInside ? target + "/" + Files.name(operand) : target)
            else { return nil }
            return Step(from: from, to: to)
        }
    }
}
