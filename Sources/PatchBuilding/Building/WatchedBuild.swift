//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials

/// A build of one source version that was watched, out of the cache.
struct WatchedBuild: Sendable {
    /// Directory in the cache that holds everything of it.
    let directory: String
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

    /// Directories of the system's tools: what else is on a user's PATH does not take part in a build.
    static let systemPath = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]

    /// The variables of every compiler that is run, and nothing else of the user's.
    static func environment(sourceDate: String) -> [String] {
        [
            "PATH=" + systemPath.joined(separator: ":"), "HOME=/nonexistent", "LC_ALL=C.UTF-8",
            "SOURCE_DATE_EPOCH=\(sourceDate)",
        ]
    }

    /// The build of a source version, from the cache or made now.
    ///
    /// It is made in a directory that gets its final name when everything is there: a build that was killed
    /// leaves nothing that could be taken for one.
    ///
    /// - Parameters:
    ///   - recipe: how it is built.
    ///   - version: the source version.
    ///   - mode: watching only, or building too.
    ///   - omitted: patches of the distribution that are left out; another list makes another build.
    ///   - compiler: the compiler's version; another one makes another build.
    ///   - sources: paths of upstream's and the distribution's files.
    ///   - inputs: the same files with digests.
    ///   - cache: the cache.
    ///   - progress: told what is done.
    /// - Throws: `PreparationError`.
    static func get(
        _ recipe: BuildRecipe, version: String, mode: BuildWatch.Mode, omitting omitted: [String] = [],
        compiler: String,
        sources: (upstream: [String], debian: [String]), inputs: [Offer.Input], cache: Cache,
        progress: @escaping @Sendable (String) -> Void
    ) async throws -> WatchedBuild {
        let parent = "\(cache.directory)/builds/\(recipe.suite)/\(recipe.source)/" + PackageVersion.pathPart(version)
        var key = "\(layout)\n\(recipe.identity)\n\(compiler)\n\(inputs)"
        // Their order has no say: they are left out of the distribution's series, which has its own.
        if !omitted.isEmpty { key += "\nwithout \(omitted.sorted())" }
        let directory = "\(parent)/\(mode.rawValue)-" + digest(key)
        if let build = try load(directory) { return build }
        let part = "build-\(recipe.suite)-\(recipe.source)-\(mode.rawValue)"
        let lock = try await cache.lock(part, timeout: 3600)
        defer { lock.release() }
        if let build = try load(directory) { return build }
        for name in Files.names(parent) where name.hasPrefix("incoming-\(mode.rawValue).") {
            // We hold the lock: what is there was left by a process that was killed.
            try Files.remove("\(parent)/\(name)")
        }
        let incoming = try Files.makeTemporary(in: parent, "incoming-\(mode.rawValue)")
        try await make(recipe, version, mode, omitted, sources, in: try Files.physical(incoming), progress)
        try Files.remove(directory)
        try Files.rename(incoming, to: directory)
        guard let build = try load(directory) else {
            throw PreparationError(.systemFailed, "the finished build is not in the cache")
        }
        return build
    }

    /// Changes when what a directory holds changes.
    private static let layout = 1

    private static func load(_ directory: String) throws(PreparationError) -> WatchedBuild? {
        guard Files.exists(directory + "/commands.json") else { return nil }
        let bytes = try Files.read(directory + "/commands.json")
        guard let record = try? JSONDecoder().decode(Record.self, from: Data(bytes)) else { return nil }
        return WatchedBuild(
            directory: try Files.physical(directory), commands: record.commands, sourceDate: record.sourceDate)
    }

    private static func make(
        _ recipe: BuildRecipe, _ version: String, _ mode: BuildWatch.Mode, _ omitted: [String],
        _ sources: (upstream: [String], debian: [String]), in directory: String,
        _ progress: @Sendable (String) -> Void
    ) async throws {
        let tree = directory + "/tree"
        try Files.makeDirectory(tree)
        progress("unpacking \(recipe.source) \(version)")
        _ = try await SourceTree.unpack(
            upstream: sources.upstream, debian: sources.debian, omitting: omitted, into: tree)
        let watch = try await BuildWatch.install(in: directory, path: systemPath)
        let recipe = recipe.placed(version: version)

        progress(
            mode == .survey
                ? "configuring \(recipe.source) \(version) and recording its compile commands"
                : "building \(recipe.source) \(version) whole"
                    + (omitted.isEmpty ? "" : ", without \(omitted.count) of its patches"))
        let script = directory + "/build.sh"
        try Files.write(shell(recipe, mode, watch, tree: tree), to: script)
        let log = directory + "/build.log"
        let result = try await Command(
            "env",
            [
                "-i", "PATH=" + systemPath.joined(separator: ":"), "HOME=/nonexistent", "LC_ALL=C.UTF-8",
                "sh", "-e", script,
            ],
            in: tree
        ).result()
        try Files.write(result.output + Array(result.errors.utf8), to: log)
        guard result.status == 0 else {
            let last = Command.end(result.errors.isEmpty ? result.text : result.errors)
            throw PreparationError(
                .buildFailed, "the build of \(recipe.source) \(version) ended with \(result.status) (log: \(log))",
                details: last)
        }
        let date = try await Command("dpkg-parsechangelog", ["-S", "Timestamp"], in: tree)
            .succeed(or: .malformedPackage, "reading debian/changelog")
        let commands = try watch.commands(tree: tree)
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
    /// distribution built at.
    private static func shell(_ recipe: BuildRecipe, _ mode: BuildWatch.Mode, _ watch: BuildWatch, tree: String)
        -> String
    {
        let quoted = BuildWatch.quoted
        var lines = [
            "export DEB_BUILD_PATH=" + quoted(recipe.buildPath.isEmpty ? tree : recipe.buildPath),
            "export PATH=\(quoted(watch.programs)):\"$PATH\"",
            "export MAKEFLAGS=-j\(ProcessInfo.processInfo.activeProcessorCount)",
            "SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -S Timestamp)", "export SOURCE_DATE_EPOCH",
        ]
        for (name, value) in recipe.environment.sorted(by: { $0.key < $1.key }) {
            lines.append("export \(name)=\(quoted(value))")
        }
        lines.append("eval \"$(dpkg-buildflags --export=sh)\"")
        func run(_ commands: [String], _ mode: BuildWatch.Mode?) {
            for (name, value) in watch.environment(mode, tree: tree).sorted(by: { $0.key < $1.key }) {
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
        recipe.buildPath = place(buildPath)
        recipe.environment = environment.mapValues(place)
        recipe.prepare = prepare.map(place)
        recipe.compile = compile.map(place)
        return recipe
    }
}
