//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials

/// Which objects include which files.
///
/// Asking the preprocessor for every object of a large library takes half a minute, so it is asked only when
/// a touched file can reach an object otherwise than by being its source.
struct HeaderDependencies: Sendable {
    let build: WatchedBuild
    let target: TargetObjects
    let cache: Cache
    let progress: @Sendable (String) -> Void

    /// For each file the objects whose source it is, or that include it.
    ///
    /// - Parameter groups: paths from the root of the tree; those of one group are copies of each other.
    /// - Returns: the objects by path; a path that goes into none may be missing.
    /// - Throws: `PreparationError`.
    func objects(touching groups: [[String]]) async throws -> [String: [CompileCommand]] {
        var result: [String: [CompileCommand]] = [:]
        var pending: [String] = []
        for group in groups {
            let direct = group.map { path in target.objects.filter { $0.source == path } }
            // A copy that is no source of this target, of a file that is one elsewhere, is most likely of another.
            let isKnown = direct.contains { !$0.isEmpty }
            for (path, objects) in zip(group, direct) {
                result[path] = objects
                if !isKnown { pending.append(path) } else if try await isMentioned(path) { pending.append(path) }
            }
        }
        if !pending.isEmpty {
            let included = try await included()
            for path in pending {
                let including = target.objects.filter { included[$0.output]?.contains(path) ?? false }
                let known = result[path] ?? []
                result[path] = known + including.filter { !known.contains($0) }
            }
        }
        return result
    }

    /// Whether a file, by its name, is one that compilers read.
    static func isSourceOrHeader(_ path: String) -> Bool {
        let name = Files.name(path)
        guard let dot = name.lastIndex(of: ".") else { return false }
        return sourceEndings.contains(String(name[name.index(after: dot)...]))
    }

    private static let sourceEndings = [
        "c", "h", "cc", "cpp", "cxx", "C", "hh", "hpp", "hxx", "inc", "def", "S", "s", "tab", "x",
    ]

    /// Whether another file of the tree names this one, as an `#include` of it would: before a quote, an angle
    /// or, through a macro, a parenthesis. It may be in a comment only: then the preprocessor is asked for
    /// nothing, which costs time and no truth.
    private func isMentioned(_ path: String) async throws(PreparationError) -> Bool {
        let result = try await Command(
            "grep",
            ["-r", "-l", "-F"] + HeaderDependencies.sourceEndings.map { "--include=*." + $0 }
                + ["\"", ">", ")"].flatMap { ["-e", Files.name(path) + $0] } + ["--", "."], in: build.tree
        ).result()
        // 1: found nowhere.
        guard result.status == 0 || result.status == 1 else {
            throw PreparationError(.systemFailed, "searching the source tree failed", details: result.errors)
        }
        return result.text.split(separator: "\n").contains { Files.normalized(String($0)) != path }
    }

    /// For each object, by its path, every file of the tree that goes into it. Kept with the build.
    private func included() async throws -> [String: Set<String>] {
        let file = build.directory + "/included-" + WatchedBuild.digest(target.output) + ".json"
        if let bytes = try? Files.read(file),
            let known = try? JSONDecoder().decode([String: Set<String>].self, from: Data(bytes))
        {
            return known
        }
        progress("asking the preprocessor for the headers of \(target.objects.count) objects")
        let found = try await ScratchDirectory.with(cache, "included") { scratch in
            try await self.included(scratch)
        }
        let result = Dictionary(uniqueKeysWithValues: zip(target.objects.map(\.output), found))
        try Files.write([UInt8](try JSONEncoder().encode(result)), to: file)
        return result
    }

    private func included(_ scratch: String) async throws(PreparationError) -> [Set<String>] {
        let batch = CommandBatch(
            sandbox: Sandbox().reading(build.tree, at: build.place), variables: build.variables, directory: scratch)
        // Assembly that is not preprocessed includes nothing, and GCC lists nothing for it.
        let objects = target.objects.filter { !$0.source.hasSuffix(".s") }
        let rules = try await batch.run(
            objects.map { object in
                let command = object.command.placed(in: build.place)
                let arguments = object.dependencyArguments.map {
                    $0.replacing(RecordedCommand.treeMark, with: build.place)
                }
                return CommandBatch.Step(
                    purpose: "listing what \(object.source) includes", directory: command.directory,
                    program: command.program, arguments: arguments)
            })
        var found: [String: Set<String>] = [:]
        for (object, rule) in zip(objects, rules) {
            found[object.output] = HeaderDependencies.files(
                ofRule: String(decoding: rule, as: UTF8.self), command: object.command, tree: build.place)
        }
        return target.objects.map { found[$0.output] ?? [$0.source] }
    }

    /// The files of the tree in a rule for make, as the preprocessor writes it.
    static func files(ofRule rule: String, command: RecordedCommand, tree: String) -> Set<String> {
        Set(names(inRule: rule).compactMap { command.pathInTree($0.replacing(tree, with: RecordedCommand.treeMark)) })
    }

    /// All files in a rule for make, as they are written there.
    static func names(inRule rule: String) -> [String] {
        guard let colon = rule.firstIndex(of: ":") else { return [] }
        var words: [String] = [""]
        var escaped = false
        for character in rule[rule.index(after: colon)...] {
            if escaped {
                escaped = false
                if character != "\n" { words[words.count - 1].append(character) }
            } else if character == "\\" {
                escaped = true
            } else if character == " " || character == "\n" {
                words.append("")
            } else {
                words[words.count - 1].append(character)
            }
        }
        return words.filter { !$0.isEmpty }
    }
}
