//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A command that takes objects out of an archive: `ar x`.
///
/// libtool joins archives so: it takes out the objects of one and puts them into the next.
struct ExtractCommand: Sendable, Equatable {
    /// The archive, from the root of the tree.
    var archive: String
    /// The directory that the objects go to, from the root of the tree; empty for the root itself.
    var directory: String
    /// File names of the objects; empty for all.
    var members: [String]

    /// Reads a recorded command; nil if it is another kind.
    ///
    /// Source: ar(1). With the modifier `N` the instance of a name is chosen by a number: not understood, so its
    /// objects stay unknown.
    init?(_ command: RecordedCommand) {
        guard JoinCommand.isArchiver(command.program), let operation = command.arguments.first,
            case let letters = operation.drop(while: { $0 == "-" }), letters.contains("x"), !letters.contains("N"),
            command.arguments.count >= 2, let archive = command.pathInTree(command.arguments[1]),
            let directory = command.pathInTree(".")
        else { return nil }
        self.archive = archive
        self.directory = directory
        members = command.arguments[2...].map(Files.name)
    }
}
