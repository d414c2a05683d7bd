//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Why a fix that is compiled changes nothing.
struct FixEffect: Sendable {
    let build: WatchedBuild
    /// The objects that the fix can affect.
    let objects: [CompileCommand]
    /// The changed sources by their paths from the root of the tree.
    let changes: [String: [UInt8]]
    let cache: Cache

    /// One reason per changed file, sorted by path.
    ///
    /// Whether the compiler sees a change is not read off the source but asked of the preprocessor, in the place
    /// and with the options of the build.
    ///
    /// - Throws: `PreparationError`.
    func reasons() async throws -> [Reason] {
        var reasons: [Reason] = []
        for path in changes.keys.sorted() {
            guard let new = changes[path] else { continue }
            let place = "\(build.tree)/\(path)"
            let old = Files.exists(place) ? try Files.read(place) : []
            if SourceTokens.tokens(old) == SourceTokens.tokens(new) {
                reasons.append(
                    Reason(.onlyComments, path, "Only comments and white space of \(path) change."))
            } else if try await isSeen(path, new) {
                reasons.append(
                    Reason(.sameCode, path, "The compiler makes the same code and data of \(path) before and after."))
            } else {
                reasons.append(
                    Reason(
                        .notCompiled, path,
                        "What changes in \(path) is not compiled here: it is in a macro that nothing uses, or in a "
                            + "conditional group (#if) for another system, architecture or configuration."))
            }
        }
        return reasons
    }

    /// Whether the text of any object, after the preprocessor, differs.
    private func isSeen(_ path: String, _ new: [UInt8]) async throws -> Bool {
        // A file that is new has no place to be seen at in a tree that is read only, and was not included before.
        guard Files.exists("\(build.tree)/\(path)") else { return true }
        return try await ScratchDirectory.with(cache, "effect") { scratch in
            let fixed = scratch + "/fixed"
            try Files.write(new, to: fixed)
            let tree = Sandbox().reading(build.tree, at: build.place)
            let before = try await preprocess(tree, scratch + "/before")
            let after = try await preprocess(tree.reading(fixed, at: "\(build.place)/\(path)"), scratch + "/after")
            return before != after
        }
    }

    private func preprocess(_ sandbox: Sandbox, _ directory: String) async throws(PreparationError) -> [[String]] {
        let batch = CommandBatch(sandbox: sandbox, variables: build.variables, directory: directory)
        let outputs = try await batch.run(
            objects.map { object in
                let command = object.command.placed(in: build.place)
                return CommandBatch.Step(
                    purpose: "preprocessing \(object.source)", directory: command.directory, program: command.program,
                    arguments: object.preprocessingArguments.map {
                        $0.replacing(RecordedCommand.treeMark, with: build.place)
                    })
            })
        return outputs.map(SourceTokens.tokens)
    }
}

extension CompileCommand {
    /// The arguments that make the preprocessor write what the compiler sees, to standard output.
    fileprivate var preprocessingArguments: [String] {
        var result: [String] = []
        var rest = arguments(adding: [])[...]
        while let argument = rest.popFirst() {
            if argument == "-o" { _ = rest.popFirst() } else if argument != "-c" { result.append(argument) }
        }
        return result + ["-E", "-P"]
    }
}
