//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Builds single objects of a watched build again: as they were, and from changed source.
///
/// All three builds of an object run in one copy of the tree (of hard links: it costs no space), at the same
/// relative paths, with the copy's own path mapped to `.`; so what comes out does not depend on where it was.
package struct ObjectBuilder: Sendable {
    let build: WatchedBuild
    let target: TargetObjects

    /// What is added to the distribution's flags for the two builds that are compared: a section for every function
    /// and every object of data, and debug information of all types, whatever the distribution's flags ask for. GCC
    /// leaves out types that it sees no use of; casts to them in macros and sizes of them would not count. It leaves
    /// out classes whose virtual table is in another object. None of it changes code but for the sections.
    package static let comparisonFlags = [
        "-ffunction-sections", "-fdata-sections", "-gdwarf-5", "-gno-split-dwarf", "-gz=none",
        "-fno-eliminate-unused-debug-types", "-femit-class-debug-always",
    ]

    /// Builds objects three times.
    ///
    /// - Parameters:
    ///   - objects: which.
    ///   - changes: the changed sources by their paths from the root of the tree.
    /// - Returns: the objects in the same order.
    /// - Throws: `PreparationError` with `buildFailed`.
    func rebuild(_ objects: [CompileCommand], changes: [String: [UInt8]]) async throws -> [RebuiltObject] {
        let parent = build.directory + "/work"
        try Files.makeDirectory(parent)
        let workspace = try Files.makeTemporary(in: parent, "objects")
        do {
            let tree = workspace + "/tree"
            try await Command("cp", ["-al", build.tree, tree]).succeed(or: .systemFailed, "copying the source tree")
            let plain = try await compile(objects, in: tree, adding: [])
            let pre = try await compile(objects, in: tree, adding: ObjectBuilder.comparisonFlags)
            for (path, contents) in changes {
                // A link to the cache's own file: replaced, never written through.
                try Files.remove("\(tree)/\(path)")
                try Files.write(contents, to: "\(tree)/\(path)")
            }
            let post = try await compile(objects, in: tree, adding: ObjectBuilder.comparisonFlags)
            try Files.remove(workspace)
            return objects.indices.map { index in
                RebuiltObject(
                    name: target.name(of: objects[index]), prePlain: plain[index], pre: pre[index], post: post[index])
            }
        } catch {
            try? Files.remove(workspace)
            throw error
        }
    }

    private func compile(
        _ objects: [CompileCommand], in tree: String, adding flags: [String]
    ) async throws -> [[UInt8]] {
        try await Concurrent.map(objects) { object in
            let output = "\(tree)/\(object.output)"
            // It may be a link to the cache's own object; and a build may have removed the directory.
            try Files.remove(output)
            try Files.makeDirectory(output.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" })
            let command = object.command.placed(in: tree)
            let arguments = object.arguments(adding: flags + ["-ffile-prefix-map=\(tree)=."]).map {
                $0.replacing(RecordedCommand.treeMark, with: tree)
            }
            try await Command(
                "env", ["-i"] + WatchedBuild.environment(sourceDate: build.sourceDate) + [command.program] + arguments,
                in: command.directory
            ).succeed(or: .buildFailed, "compiling \(object.source)")
            let bytes = try Files.read(output)
            try Files.remove(output)
            return bytes
        }
    }
}
