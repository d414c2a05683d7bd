//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Builds single objects of a watched build again: as they were, and from changed source.
///
/// All three builds of an object run in one copy of the tree (of hard links: it costs no space), seen in a
/// sandbox at the place where the distribution built; so what comes out does not depend on where it was.
package struct ObjectBuilder: Sendable {
    let build: WatchedBuild
    let target: TargetObjects
    let cache: Cache

    /// What came of it.
    struct Rebuilt: Sendable {
        /// The objects.
        var objects: [RebuiltObject]
        /// Files of this machine that were included, absolute paths, sorted.
        var systemFiles: [String]
    }

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
    func rebuild(_ objects: [CompileCommand], changes: [String: [UInt8]]) async throws -> Rebuilt {
        try await ScratchDirectory.with(cache, "objects") { workspace in
            let tree = workspace + "/tree"
            try await Command("cp", ["-al", build.tree, tree]).succeed(or: .systemFailed, "copying the source tree")
            let plain = try await compile(objects, in: workspace, adding: [])
            let systemFiles = try included(workspace, count: objects.count)
            let pre = try await compile(objects, in: workspace, adding: ObjectBuilder.comparisonFlags)
            for (path, contents) in changes {
                // A link to the cache's own file: replaced, never written through.
                try Files.remove("\(tree)/\(path)")
                try Files.makeDirectory(Files.parent("\(tree)/\(path)"))
                try Files.write(contents, to: "\(tree)/\(path)")
            }
            let post = try await compile(objects, in: workspace, adding: ObjectBuilder.comparisonFlags)
            return Rebuilt(
                objects: objects.indices.map { index in
                    RebuiltObject(
                        name: target.name(of: objects[index]), prePlain: plain[index], pre: pre[index],
                        post: post[index])
                }, systemFiles: systemFiles)
        }
    }

    private func compile(
        _ objects: [CompileCommand], in workspace: String, adding flags: [String]
    ) async throws -> [[UInt8]] {
        let tree = workspace + "/tree"
        // They may be links to the cache's own objects.
        for object in objects {
            try Files.remove("\(tree)/\(object.output)")
            // A build may have removed the directory.
            try Files.makeDirectory(Files.parent("\(tree)/\(object.output)"))
        }
        let batch = CommandBatch(
            sandbox: Sandbox().writing(tree, at: build.place), variables: build.variables,
            directory: workspace + "/steps")
        _ = try await batch.run(
            objects.enumerated().map { number, object in
                let command = object.command.placed(in: build.place)
                let rule = ["-MD", "-MF", "\(CommandBatch.place)/\(number).rule"]
                return CommandBatch.Step(
                    purpose: "compiling \(object.source)", directory: command.directory, program: command.program,
                    arguments: object.arguments(adding: flags + rule).map {
                        $0.replacing(RecordedCommand.treeMark, with: build.place)
                    })
            })
        return try objects.map { object in
            let output = "\(tree)/\(object.output)"
            guard Files.isRegular(output, below: tree) else {
                throw PreparationError(.buildFailed, "compiling \(object.source) made no object")
            }
            let bytes = try Files.read(output)
            try Files.remove(output)
            return bytes
        }
    }

    /// The files outside of the tree that the last compilers read, by the rules for make that they wrote. Assembly
    /// that is not preprocessed has none.
    private func included(_ workspace: String, count: Int) throws -> [String] {
        var files: Set<String> = []
        for number in 0..<count {
            guard let rule = try? Files.read("\(workspace)/steps/\(number).rule") else { continue }
            for name in HeaderDependencies.names(inRule: String(decoding: rule, as: UTF8.self))
            where name.hasPrefix("/") && !name.hasPrefix(build.place + "/") {
                files.insert(Files.normalized(name))
            }
        }
        return files.sorted()
    }
}
