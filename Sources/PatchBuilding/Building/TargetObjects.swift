//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials

/// The objects that go into one shared library or program, found in the commands of a watched build.
struct TargetObjects: Sendable {
    /// Compile commands of the objects, in the order in which they are linked.
    let objects: [CompileCommand]
    /// What the link makes, from the root of the tree.
    let output: String

    /// Follows the link of a target back to compile commands.
    ///
    /// - Parameters:
    ///   - name: file name of the target: `libcrypto.so.3`.
    ///   - build: the watched build.
    /// - Throws: `PreparationError` with `targetNotBuilt`.
    init(named name: String, in build: WatchedBuild) throws(PreparationError) {
        try self.init(
            named: name, commands: build.commands,
            isSharedLibrary: { Files.exists("\(build.tree)/\($0)") })
    }

    /// The same for commands alone.
    ///
    /// - Parameter isSharedLibrary: whether a file is there, so that `-lfoo` means it and not an archive.
    init(
        named name: String, commands: [RecordedCommand], isSharedLibrary: (String) -> Bool
    ) throws(PreparationError) {
        var compiles: [String: CompileCommand] = [:]
        var archives: [String: [String]] = [:]
        var links: [JoinCommand] = []
        for command in commands {
            if let compile = CompileCommand(command) {
                compiles[compile.output] = compile
            } else if let join = JoinCommand(command) {
                if join.isArchive {
                    archives[join.output, default: []] += join.inputs
                } else if Files.name(join.output) == name {
                    links.removeAll { $0.output == join.output }
                    links.append(join)
                }
            }
        }
        guard let link = links.first else {
            throw PreparationError(.targetNotBuilt, "no command of the build makes '\(name)'")
        }
        guard links.count == 1 else {
            let paths = links.map(\.output).joined(separator: ", ")
            throw PreparationError(.targetNotBuilt, "the build makes '\(name)' more than once: \(paths)")
        }
        guard !link.namesArgumentFile else {
            throw PreparationError(.targetNotBuilt, "the link of '\(name)' takes its arguments from a file")
        }
        var inputs = link.inputs
        for library in link.libraries {
            for directory in library.directories {
                let prefix = directory.isEmpty ? "" : directory + "/"
                if isSharedLibrary("\(prefix)lib\(library.name).so") { break }
                let archive = "\(prefix)lib\(library.name).a"
                if archives[archive] != nil {
                    inputs.append(archive)
                    break
                }
            }
        }
        var found: [CompileCommand] = []
        var seen: Set<String> = []
        func add(_ path: String) {
            guard seen.insert(path).inserted else { return }
            if let compile = compiles[path] {
                found.append(compile)
            } else {
                archives[path]?.forEach(add)
            }
        }
        inputs.forEach(add)
        guard !found.isEmpty else {
            throw PreparationError(.targetNotBuilt, "no object of '\(name)' was compiled while the build was watched")
        }
        objects = found
        output = link.output
    }

    /// An object's path from the directory that the link runs in, for people: `crypto/libcrypto-lib-mem.o`.
    func name(of object: CompileCommand) -> String {
        let directory = output.split(separator: "/").dropLast().joined(separator: "/")
        guard !directory.isEmpty, object.output.hasPrefix(directory + "/") else { return object.output }
        return String(object.output.dropFirst(directory.utf8.count + 1))
    }
}
