//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials

/// A build of one source version that was watched, out of the cache.
struct WatchedBuild: Sendable {
    /// Directory in the cache that holds everything of it.
    let directory: String
    /// Where the tree is seen in a sandbox: where the distribution built it. So what the build writes of its own
    /// place, into headers, makefiles and programs, is what the distribution's wrote.
    let place: String
    /// Every command, oldest first.
    let commands: [RecordedCommand]
    /// Seconds since 1970 of the source's newest changelog entry, for `SOURCE_DATE_EPOCH`.
    let sourceDate: String

    /// Root of the source tree.
    var tree: String { directory + "/tree" }

    /// What is kept of a build beside its tree.
    private struct Record: Codable {
        var commands: [RecordedCommand]
        var sourceDate: String
    }

    /// Directories of the system's tools.
    static let systemPath = Command.path.split(separator: ":").map(String.init)

    /// The variables of every compiler that is run, beside those of the sandbox.
    var variables: [String: String] { ["SOURCE_DATE_EPOCH": sourceDate] }

    /// The build of a source version, from the cache or made now.
    ///
    /// It is made in a directory that gets its final name when everything is there: a build that failed or was
    /// killed leaves nothing that could be taken for one. What a failed build said is kept.
    ///
    /// - Parameters:
    ///   - recipe: how it is built.
    ///   - version: the source version.
    ///   - mode: watching only, or building too.
    ///   - omitted: patches of the distribution that are left out; another list makes another build.
    ///   - tools: the compiler's version and those of the packages that it needs; others make another build.
    ///   - sources: paths of upstream's and the distribution's files.
    ///   - inputs: the same files with digests.
    ///   - cache: the cache.
    ///   - progress: told what is done.
    /// - Throws: `PreparationError`.
    static func get(
        _ recipe: BuildRecipe, version: String, mode: BuildWatch.Mode, omitting omitted: [String] = [],
        tools: [String],
        sources: (upstream: [String], debian: [String]), inputs: [Offer.Input], cache: Cache,
        progress: @escaping @Sendable (String) -> Void
    ) async throws -> WatchedBuild {
        let parent = "\(cache.directory)/builds/\(recipe.suite)/\(recipe.source)/" + PackageVersion.pathPart(version)
        var key = "\(layout)\n\(recipe.identity)\n\(tools)\n\(inputs)"
        // Their order has no say: they are left out of the distribution's series, which has its own.
        if !omitted.isEmpty { key += "\nwithout \(omitted.sorted())" }
        let directory = "\(parent)/\(mode.rawValue)-" + digest(key)
        let place = recipe.placed(version: version).buildPath
        guard Sandbox.isFree(place) else {
            throw PreparationError(
                .malformedRecipe, "build.yaml of \(recipe.source): nothing can be built at the build-path \(place)")
        }
        if let build = try load(directory, place) { return build }
        // A full build tells all that a survey does.
        if mode == .survey, let build = try load("\(parent)/\(BuildWatch.Mode.full.rawValue)-" + digest(key), place) {
            return build
        }
        let part = "build-\(recipe.suite)-\(recipe.source)-\(mode.rawValue)"
        let lock = try await cache.lock(part, timeout: 3600)
        defer { lock.release() }
        if let build = try load(directory, place) { return build }
        let log = "\(cache.directory)/logs/\(recipe.source)-\(PackageVersion.pathPart(version))-\(mode.rawValue).log"
        let incoming = try ScratchDirectory(in: cache, "build")
        do {
            try await make(
                recipe.placed(version: version), version, mode, omitted, sources, in: incoming.path, log, progress)
            try incoming.move(to: directory)
        } catch {
            incoming.remove()
            throw error
        }
        guard let build = try load(directory, place) else {
            throw PreparationError(.systemFailed, "the finished build is not in the cache")
        }
        return build
    }

    /// Changes when what a directory holds changes.
    private static let layout = 3

    private static func load(_ directory: String, _ place: String) throws(PreparationError) -> WatchedBuild? {
        guard Files.exists(directory + "/commands.json") else { return nil }
        let bytes = try Files.read(directory + "/commands.json")
        guard let record = try? JSONDecoder().decode(Record.self, from: Data(bytes)) else { return nil }
        return WatchedBuild(
            directory: try Files.physical(directory), place: place, commands: record.commands,
            sourceDate: record.sourceDate)
    }

    private static func make(
        _ recipe: BuildRecipe, _ version: String, _ mode: BuildWatch.Mode, _ omitted: [String],
        _ sources: (upstream: [String], debian: [String]), in directory: String, _ log: String,
        _ progress: @Sendable (String) -> Void
    ) async throws {
        let tree = directory + "/tree"
        try Files.makeDirectory(tree)
        progress("unpacking \(recipe.source) \(version)")
        _ = try await SourceTree.unpack(
            upstream: sources.upstream, debian: sources.debian, omitting: omitted, into: tree)
        let watch = try await BuildWatch.install(in: directory, path: systemPath)

        progress(
            mode == .survey
                ? "configuring \(recipe.source) \(version) and recording its compile commands"
                : "building \(recipe.source) \(version) whole"
                    + (omitted.isEmpty ? "" : ", without \(omitted.count) of its patches"))
        let script = directory + "/build.sh"
        try Files.write(shell(recipe, mode), to: script)
        let place = Sandbox.own + "/build.sh"
        let sandbox = watch.mounted(in: Sandbox().writing(tree, at: recipe.buildPath)).reading(script, at: place)
        let result = try await Command("sh", ["-e", place], in: recipe.buildPath, sandbox: sandbox).result()
        let said = result.output + Array(result.errors.utf8)
        guard result.status == 0 else {
            // Outside of what is thrown away; the disk may be full, which is no reason to say less.
            try? Files.makeDirectory(Files.parent(log))
            try? Files.write(said, to: log)
            throw PreparationError.ofTool(
                .buildFailed, "the build of \(recipe.source) \(version) ended with \(result.status) (log: \(log))",
                said: result.errors.isEmpty ? result.text : result.errors, writing: directory)
        }
        try Files.write(said, to: directory + "/build.log")
        let date = try await Command(
            "dpkg-parsechangelog", ["-S", "Timestamp"], in: recipe.buildPath,
            sandbox: Sandbox().reading(tree, at: recipe.buildPath)
        ).succeed(or: .malformedPackage, "reading debian/changelog")
        let commands = try watch.commands(tree: recipe.buildPath)
        guard !commands.isEmpty else {
            throw PreparationError(.targetNotBuilt, "the build of \(recipe.source) \(version) compiled nothing")
        }
        try Files.remove(watch.records)
        let record = Record(
            commands: commands, sourceDate: String(decoding: date, as: UTF8.self).filter(\.isNumber))
        // Last: with this file the directory is complete.
        try Files.write([UInt8](try JSONEncoder().encode(record)), to: directory + "/commands.json")
    }

    /// The whole build as a script. `dpkg-buildflags` is asked as `debhelper` would, for the path that the
    /// distribution built at; in the form for makefiles, because that for shells loses the backslashes which a
    /// makefile's shell has to see.
    private static func shell(_ recipe: BuildRecipe, _ mode: BuildWatch.Mode) -> String {
        let quoted = BuildWatch.quoted
        var lines = [
            "export DEB_BUILD_PATH=" + quoted(recipe.buildPath),
            "export PATH=\(BuildWatch.placeOfPrograms):\"$PATH\"",
            "export MOULT_WATCH=off", "export MAKEFLAGS=-j\(ProcessInfo.processInfo.activeProcessorCount)",
            "SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -S Timestamp)", "export SOURCE_DATE_EPOCH",
        ]
        for (name, value) in recipe.environment.sorted(by: { $0.key < $1.key }) {
            lines.append("export \(name)=\(quoted(value))")
        }
        lines += [
            "while read -r word name sign value; do export \"$name=$value\"; done <<FLAGS",
            "$(dpkg-buildflags --export=make)", "FLAGS",
        ]
        func run(_ commands: [String], _ mode: BuildWatch.Mode?) {
            for (name, value) in BuildWatch.environment(mode).sorted(by: { $0.key < $1.key }) {
                lines.append("export \(name)=\(quoted(value))")
            }
            // Each in a shell of its own, from the root of the tree; a file of commands ends at the first failure.
            for command in commands { lines.append("sh -e -c \(quoted(command))") }
        }
        run(recipe.prepare, nil)
        run(recipe.compile, mode)
        return lines.joined(separator: "\n") + "\n"
    }

    /// A short name for a text (FNV-1a, 64 bits). Not against an adversary: it only keeps builds apart.
    static func digest(_ text: String) -> String {
        let hash = text.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        let hex = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - hex.utf8.count) + hex
    }
}

extension BuildRecipe {
    /// All that makes a build what it is, as one text that is the same in every process.
    var identity: String {
        let variables = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        return "\([buildPath, compiler])\(variables)\(prepare)\(compile)"
    }

    /// The recipe for one version: placeholders replaced.
    func placed(version: String) -> BuildRecipe {
        func place(_ text: String) -> String {
            text.replacing("{source}", with: source).replacing("{version}", with: version)
                .replacing("{upstream}", with: PackageVersion.upstream(of: version))
        }
        var recipe = self
        // Where Debian's machines build.
        recipe.buildPath = place(buildPath.isEmpty ? "/build/reproducible-path/{source}-{upstream}" : buildPath)
        recipe.environment = environment.mapValues(place)
        recipe.prepare = prepare.map(place)
        recipe.compile = compile.map(place)
        return recipe
    }
}
