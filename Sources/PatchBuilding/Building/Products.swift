//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// What the commands of a build have made so far, by path from the root of the tree.
///
/// Commands are followed in their order: a file that is moved takes with it how it was made, and one that is written
/// again is another one.
struct Products {
    /// A file that a build made.
    private enum Product {
        case object(CompileCommand)
        /// An object out of an archive. Where it lay when it was put in is where it stays: what is taken out is
        /// often gone when the build ends.
        case extracted(CompileCommand)
        case archive(Contents)
        case linked(JoinCommand, Contents)
    }

    /// What was joined to one file.
    private struct Contents {
        /// Objects in the order in which they were named, those of archives in the place of the archive.
        var objects: [CompileCommand] = []
        /// Objects and archives that no command is known to have made.
        var unknown: [String] = []
    }

    /// A file that was linked.
    struct Link {
        /// Where it lies.
        var path: String
        /// The command.
        var command: JoinCommand
        /// Its objects in the order in which they are linked.
        var objects: [CompileCommand]
        /// Objects and archives in it that no command is known to have made.
        var unknown: [String]
    }

    private var products: [String: Product] = [:]

    /// Goes on by one command.
    ///
    /// - Parameters:
    ///   - command: the command.
    ///   - isSharedLibrary: whether a file is there, so that `-lfoo` means it and not an archive.
    mutating func follow(_ command: RecordedCommand, isSharedLibrary: (String) -> Bool) {
        if let move = MoveCommand(command) {
            for step in move.steps { take(step, isCopy: move.isCopy) }
        } else if let compile = CompileCommand(command) {
            products[compile.output] = .object(compile)
        } else if let extract = ExtractCommand(command) {
            take(extract)
        } else if let join = JoinCommand(command) {
            var contents = Contents()
            if join.isArchive, case .archive(let before) = products[join.output] { contents = before }
            for path in join.inputs { add(path, to: &contents) }
            for library in join.libraries {
                if let archive = archive(library, isSharedLibrary) { add(archive, to: &contents) }
            }
            products[join.output] = join.isArchive ? .archive(contents) : .linked(join, contents)
        }
    }

    /// The linked files whose paths are wanted, sorted by path.
    func links(_ isWanted: (String) -> Bool) -> [Link] {
        products.keys.sorted().filter(isWanted).compactMap { path in
            guard case .linked(let command, let contents) = products[path] else { return nil }
            return Link(path: path, command: command, objects: contents.objects, unknown: contents.unknown)
        }
    }

    private mutating func take(_ step: MoveCommand.Step, isCopy: Bool) {
        let inside = step.from + "/"
        let paths = products.keys.filter { $0 == step.from || $0.hasPrefix(inside) }
        for path in paths {
            let product = products[path]
            if !isCopy { products[path] = nil }
            products[step.to + path.dropFirst(step.from.utf8.count)] = product
        }
    }

    /// Objects that are taken out of an archive are those that were put in. Of two with one name the second replaces
    /// the first, and the archive is likely to be meant whole: such a file is known no more.
    private mutating func take(_ extract: ExtractCommand) {
        guard case .archive(let contents) = products[extract.archive] else { return }
        var names: Set<String> = []
        for object in contents.objects {
            let name = Files.name(object.place)
            guard extract.members.isEmpty || extract.members.contains(name) else { continue }
            let path = extract.directory.isEmpty ? name : extract.directory + "/" + name
            products[path] = names.insert(name).inserted ? .extracted(object) : nil
        }
    }

    private func add(_ path: String, to contents: inout Contents) {
        var objects: [CompileCommand] = []
        switch products[path] {
        case .object(var object):
            object.place = path
            objects = [object]
        case .extracted(let object):
            objects = [object]
        case .archive(let archive):
            objects = archive.objects
            contents.unknown += archive.unknown
        case .linked:
            break
        case nil:
            // What else is named are scripts for the linker, and libraries of the system.
            if [".o", ".lo", ".obj", ".a"].contains(where: path.hasSuffix) { contents.unknown.append(path) }
        }
        for object in objects where !contents.objects.contains(where: { $0.place == object.place }) {
            contents.objects.append(object)
        }
    }

    /// The archive that `-lfoo` means, unless a shared library is found first.
    private func archive(
        _ library: (name: String, directories: [String]), _ isSharedLibrary: (String) -> Bool
    ) -> String? {
        for directory in library.directories {
            let prefix = directory.isEmpty ? "" : directory + "/"
            if isSharedLibrary("\(prefix)lib\(library.name).so") { return nil }
            let archive = "\(prefix)lib\(library.name).a"
            if case .archive = products[archive] { return archive }
        }
        return nil
    }
}
