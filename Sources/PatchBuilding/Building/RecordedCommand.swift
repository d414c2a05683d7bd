//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A command of a watched build as it was given.
struct RecordedCommand: Sendable, Equatable, Codable {
    /// Stands for the root of the source tree: a tree can be moved, and be copied to be changed.
    static let treeMark = "@MOULT_TREE@"

    /// Name of the program, without directory.
    var program: String
    /// Directory it was run in.
    var directory: String
    /// Its arguments.
    var arguments: [String]

    /// The same with the root of a tree replaced by the mark.
    func movable(from tree: String) -> RecordedCommand { replacing(tree, with: RecordedCommand.treeMark) }

    /// The same for a tree at a place.
    func placed(in tree: String) -> RecordedCommand { replacing(RecordedCommand.treeMark, with: tree) }

    private func replacing(_ old: String, with new: String) -> RecordedCommand {
        RecordedCommand(
            program: program, directory: directory.replacing(old, with: new),
            arguments: arguments.map { $0.replacing(old, with: new) })
    }

    /// A path that the command names, as a path from the root of the tree (empty for the root itself); nil if
    /// it is outside.
    func pathInTree(_ path: String) -> String? {
        let full = path.hasPrefix("/") || path.hasPrefix(RecordedCommand.treeMark) ? path : directory + "/" + path
        let normal = Files.normalized(full)
        if normal == RecordedCommand.treeMark { return "" }
        guard normal.hasPrefix(RecordedCommand.treeMark + "/") else { return nil }
        return String(normal.dropFirst(RecordedCommand.treeMark.count + 1))
    }
}

/// Options of GCC that take their value from the next argument (GCC manual, "Option Summary").
private let optionsWithValue: Set<String> = [
    "-o", "-I", "-D", "-U", "-L", "-l", "-x", "-include", "-imacros", "-isystem", "-iquote", "-idirafter", "-iprefix",
    "-iwithprefix", "-iwithprefixbefore", "-isysroot", "-imultilib", "-MF", "-MT", "-MQ", "-T", "-u", "-z", "-e", "-G",
    "-Xlinker", "-Xassembler", "-Xpreprocessor", "-aux-info", "--param", "-A", "-wrapper", "-h", "-R", "-soname",
]

/// A command that makes one object of one source.
struct CompileCommand: Sendable, Equatable {
    /// The command.
    var command: RecordedCommand
    /// The source, from the root of the tree.
    var source: String
    /// The object that the compiler writes, from the root of the tree.
    var output: String
    /// Where the object lies when it is linked, from the root of the tree: elsewhere if the build moves it.
    var place: String

    /// Reads a recorded command; nil if it is another kind.
    init?(_ command: RecordedCommand) {
        var output: String?
        var sources: [String] = []
        var compiles = false
        var rest = command.arguments[...]
        while let argument = rest.popFirst() {
            if argument == "-c" {
                compiles = true
            } else if argument == "-o" {
                output = rest.popFirst()
            } else if argument.hasPrefix("-o"), argument.utf8.count > 2 {
                output = String(argument.dropFirst(2))
            } else if optionsWithValue.contains(argument) {
                _ = rest.popFirst()
            } else if ["-E", "-S", "-M", "-MM"].contains(argument) {
                return nil
            } else if !argument.hasPrefix("-"), !argument.hasPrefix("@") {
                sources.append(argument)
            }
        }
        guard compiles, sources.count == 1, let source = command.pathInTree(sources[0]) else { return nil }
        let name = Files.name(source)
        let object = (name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name) + ".o"
        guard let path = command.pathInTree(output ?? object) else { return nil }
        self.command = command
        self.source = source
        self.output = path
        place = path
    }

    /// The arguments without those that ask for dependencies, and with others added.
    func arguments(adding added: [String]) -> [String] {
        var result: [String] = []
        var rest = command.arguments[...]
        while let argument = rest.popFirst() {
            if ["-MF", "-MT", "-MQ"].contains(argument) {
                _ = rest.popFirst()
            } else if ["-MD", "-MMD", "-MP", "-MG"].contains(argument)
                || ["-MF", "-MT", "-MQ", "-Wp,-MD", "-Wp,-MMD"].contains(where: { argument.hasPrefix($0) })
            {
                continue
            } else {
                result.append(argument)
            }
        }
        return result + added
    }

    /// The arguments that make the preprocessor list what the source includes, to standard output.
    var dependencyArguments: [String] {
        var result: [String] = []
        var rest = arguments(adding: [])[...]
        while let argument = rest.popFirst() {
            if argument == "-o" { _ = rest.popFirst() } else if argument != "-c" { result.append(argument) }
        }
        return result + ["-M", "-MT", "object"]
    }
}

/// A command that joins objects: a link, or adding to an archive.
struct JoinCommand: Sendable, Equatable {
    /// The command.
    var command: RecordedCommand
    /// What it makes, from the root of the tree.
    var output: String
    /// Objects and archives in the order they are named, from the root of the tree.
    var inputs: [String]
    /// Names of libraries (`-lfoo`) with the directories they are looked for in.
    var libraries: [(name: String, directories: [String])] { parsedLibraries.map { ($0.name, $0.directories) } }
    /// Whether a file of arguments is named, which is not looked into.
    var namesArgumentFile: Bool
    /// Whether it adds to an archive.
    var isArchive: Bool

    /// Whether a program is an archiver, by its name: `ar`, `gcc-ar`, `gcc-ar-12`.
    static func isArchiver(_ program: String) -> Bool { program.hasSuffix("ar") || program.contains("-ar-") }

    private var parsedLibraries: [Library] = []

    private struct Library: Sendable, Equatable {
        var name: String
        var directories: [String]
    }

    /// Reads a recorded command; nil if it is another kind.
    init?(_ command: RecordedCommand) {
        self.command = command
        isArchive = JoinCommand.isArchiver(command.program)
        namesArgumentFile = command.arguments.contains { $0.hasPrefix("@") && !$0.hasPrefix(RecordedCommand.treeMark) }
        inputs = []
        if isArchive {
            let arguments = command.arguments
            guard arguments.count >= 2, arguments[0].drop(while: { $0 == "-" }).contains(where: { "rq".contains($0) }),
                let output = command.pathInTree(arguments[1])
            else { return nil }
            self.output = output
            inputs = arguments[2...].compactMap(command.pathInTree)
            return
        }
        guard !command.program.contains("ranlib") else { return nil }
        var output = "a.out"
        var directories: [String] = []
        var rest = command.arguments[...]
        while let argument = rest.popFirst() {
            if ["-c", "-E", "-S", "-M", "-MM"].contains(argument) { return nil }
            if argument == "-o" {
                output = rest.popFirst() ?? output
            } else if argument == "-L" || argument == "-l" {
                let value = rest.popFirst() ?? ""
                if argument == "-L" {
                    directories += [command.pathInTree(value)].compactMap(\.self)
                } else {
                    parsedLibraries.append(Library(name: value, directories: []))
                }
            } else if argument.hasPrefix("-L") {
                directories += [command.pathInTree(String(argument.dropFirst(2)))].compactMap(\.self)
            } else if argument.hasPrefix("-l") {
                parsedLibraries.append(Library(name: String(argument.dropFirst(2)), directories: []))
            } else if optionsWithValue.contains(argument) {
                _ = rest.popFirst()
            } else if !argument.hasPrefix("-"), let path = command.pathInTree(argument) {
                inputs.append(path)
            }
        }
        for index in parsedLibraries.indices { parsedLibraries[index].directories = directories }
        guard let path = command.pathInTree(output) else { return nil }
        self.output = path
    }
}
