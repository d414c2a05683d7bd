//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials

/// From a recipe to the shipped binary and rebuilt objects.
package enum FixPreparation {
    /// Fetches what the recipe names, prepares the distribution's build and builds the affected objects.
    ///
    /// What was fetched and surveyed once is taken from the cache, without network.
    ///
    /// - Parameters:
    ///   - recipe: the fix.
    ///   - build: how the distribution builds the source of the recipe.
    ///   - cache: where everything is kept.
    ///   - progress: called with a sentence for a person at the beginning of each step.
    /// - Returns: the shipped binary and the rebuilt objects.
    /// - Throws: `PreparationError`.
    package static func prepare(
        recipe: Recipe, build: BuildRecipe, cache: Cache = .standard(),
        progress: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws -> PreparedFix {
        let target = try await open(recipe: recipe, build: build, cache: cache, mode: .survey, progress: progress)
        var meter = Meter(target.costs)
        let (fixed, adaptation) = try await fixedSources(of: target, cache: cache)
        let touched = try await TouchedFiles(
            fixed.keys.sorted(), build: build, target: target,
            isPatch: { if case .patches = recipe.fix { true } else { false } }(), progress: progress)
        meter.finish("affected")

        let objects = touched.objects
        progress("building \(objects.count) affected object\(objects.count == 1 ? "" : "s") three times")
        let changes = try touched.changes(fixed, in: target.build.tree)
        let rebuilt = try await ObjectBuilder(build: target.build, target: target.target, cache: cache)
            .rebuild(objects, changes: changes)
        meter.finish("objects")
        let packages = try await InstalledPackages.named(
            build.dependencies,
            owning: InstalledPackages.tools(for: objects.map(\.source)) + rebuilt.systemFiles)
        meter.finish("tools")
        return PreparedFix(
            recipe: recipe, offer: target.offer, adaptation: adaptation, shipped: target.shipped,
            rebuiltTarget: target.rebuiltTarget, objects: rebuilt.objects, touchedHeaders: touched.headers.sorted(),
            unfollowed: touched.unfollowed, compiler: target.compiler, packages: packages, costs: meter.costs,
            effect: FixEffect(build: target.build, objects: objects, changes: changes, cache: cache))
    }

    /// Fetches what the recipe names and prepares the distribution's build of the target, as far as a survey of
    /// its commands or as a full build.
    ///
    /// - Parameters:
    ///   - recipe: the fix, which names the target.
    ///   - build: how the distribution builds the source of the recipe.
    ///   - cache: where everything is kept.
    ///   - mode: survey, or full build. A target that is rebuilt always needs the full build.
    ///   - progress: called with a sentence for a person at the beginning of each step.
    /// - Throws: `PreparationError`.
    package static func open(
        recipe: Recipe, build: BuildRecipe, cache: Cache = .standard(), mode: BuildWatch.Mode,
        progress: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws -> TargetBuild {
        guard recipe.location.suite == build.suite, recipe.location.source == build.source else {
            throw PreparationError(
                .malformedRecipe, "the build recipe is for \(build.source) of \(build.suite), the fix is not")
        }
        var meter = Meter([])
        try await Sandbox.check()
        ScratchDirectory.sweep(cache)
        try Files.makeDirectory(cache.directory + "/mirror")
        let mirror = Mirror(cache: cache, suite: recipe.location.suite)
        let material = try await Acquisition(mirror: mirror, progress: progress).pick(recipe)
        progress("picked: " + material.offer.summary)
        var shipped: [UInt8] = []
        if let binary = material.binary {
            shipped = try await ScratchDirectory.with(cache, "shipped") { scratch in
                try await SourceTree.file(recipe.target.object, ofBinary: binary, scratch: scratch)
            }
        }
        let mode = material.binary == nil ? .full : mode
        meter.finish("fetch")

        let packages = try await Compiler.checkInstalled(build.dependencies)
        let compiler = try await Compiler.ofMachine()
        try compiler.check(binary: shipped, named: recipe.target.object, expected: build.compiler)
        let used = (material.vulnerableUpstream + material.vulnerableDebian).map(Files.name)
        let watched = try await WatchedBuild.get(
            build, version: material.sourceVersion, mode: mode, omitting: recipe.rebuildWithout,
            tools: [compiler.version] + packages,
            sources: (material.vulnerableUpstream, material.vulnerableDebian),
            inputs: material.offer.inputs.filter { used.contains($0.name) }, cache: cache, progress: progress)
        let target = try TargetObjects(of: recipe.target, in: watched)
        if material.binary == nil { shipped = try Files.read("\(watched.tree)/\(target.output)") }
        meter.finish(mode.rawValue)
        return TargetBuild(
            recipe: recipe, offer: material.offer, shipped: shipped, compiler: compiler.version, costs: meter.costs,
            material: material, build: watched, target: target, cache: cache)
    }

    /// The changed sources, with the line numbers of the vulnerable ones, and the author's patch if there is one.
    private static func fixedSources(
        of target: TargetBuild, cache: Cache
    ) async throws -> ([String: [UInt8]], Offer.Input?) {
        try await ScratchDirectory.with(cache, "fix") { scratch in
            var (contents, chosen) = try await rawSources(of: target, scratch: scratch)
            let old = { (path: String) throws(PreparationError) -> [UInt8]? in
                let place = "\(target.build.tree)/\(path)"
                return Files.exists(place) ? try Files.read(place) : nil
            }
            var input: Offer.Input?
            if let adaptation = target.recipe.adaptation {
                let adapted = try AdaptedSource(adaptation)
                contents = try await adapted.apply(to: contents, choosing: chosen, old: old, scratch: scratch)
                chosen = [:]
                input = try await adapted.input(scratch: scratch)
            }
            var fixed: [String: [UInt8]] = [:]
            for (path, new) in contents {
                // A file that is new has no lines to keep the numbers of.
                guard let before = try old(path) else {
                    fixed[path] = new
                    continue
                }
                fixed[path] = try await fixedSource(
                    path, old: before, new: new, chosen: chosen[path] ?? .all,
                    isReformatted: target.recipe.fix.isReformatted, scratch: scratch)
            }
            return (fixed, input)
        }
    }

    private static func fixedSource(
        _ path: String, old: [UInt8], new: [UInt8], chosen: Recipe.Choice, isReformatted: Bool, scratch: String
    ) async throws(PreparationError) -> [UInt8] {
        let reformatted = isReformatted ? try await ReformattedDiff(old: old, new: new, scratch: scratch) : nil
        let diff: SourceDiff
        if let reformatted {
            diff = reformatted.diff
        } else {
            diff = try await SourceDiff(old: old, new: new, scratch: scratch)
        }
        guard !diff.hunks.isEmpty else {
            throw PreparationError(.nothingToFix, "\(path) is the same in both sources")
        }
        let hunks = try diff.hunks(chosen, of: path)
        if let reformatted { return try reformatted.fixed(chosen: hunks) }
        return try LineDirectives.fixed(diff, chosen: hunks)
    }

    private static func rawSources(
        of target: TargetBuild, scratch: String
    ) async throws -> (contents: [String: [UInt8]], chosen: [String: Recipe.Choice]) {
        let tree = try Files.makeTemporary(in: scratch, "fixed")
        let material = target.material
        switch target.recipe.fix {
        case .files(let files), .reformatted(let files):
            let paths = files.map(\.path)
            let contents: [String: [UInt8]]
            if material.fixedDebian.isEmpty {
                contents = try await SourceTree.files(paths, ofUpstream: material.fixedUpstream, scratch: tree)
            } else {
                _ = try await SourceTree.unpack(
                    upstream: material.fixedUpstream, debian: material.fixedDebian, into: tree)
                contents = try SourceTree.files(paths, in: tree, called: "\(target.offer.fixed)")
            }
            return (contents, Dictionary(uniqueKeysWithValues: files.map { ($0.path, $0.choice) }))
        case .patches(let names):
            let debian = try Files.makeTemporary(in: scratch, "debian")
            guard let tar = material.fixedDebian.first(where: { Files.name($0).contains(".debian.tar.") }) else {
                throw PreparationError(.malformedPackage, "the fixed source has no debian/patches")
            }
            try await SourceTree.extract(tar, into: debian, strip: 0)
            let paths = names.map { "debian/patches/" + $0 }
            _ = try SourceTree.files(paths, in: debian, called: "\(target.offer.fixed)")
            var touched: [String] = []
            for name in names {
                // What a patch brings along goes into no object; left out, it cannot be in the way either.
                let parts = UnifiedDiff(try Files.read("\(debian)/debian/patches/\(name)")).parts
                    .filter { isCode($0.path) }
                guard !parts.isEmpty else { continue }
                let patch = try Files.makeTemporary(in: scratch, "patch") + "/" + Files.name(name)
                try Files.write(parts.flatMap(\.text), to: patch)
                for path in try SourceTree.filesTouched(by: patch) where !touched.contains(path) {
                    touched.append(path)
                    let old = "\(target.build.tree)/\(path)"
                    guard Files.exists(old) else { continue }
                    try Files.makeDirectory(tree + "/" + path.split(separator: "/").dropLast().joined(separator: "/"))
                    try Files.write(try Files.read(old), to: "\(tree)/\(path)")
                }
                try await SourceTree.apply(patch, to: tree)
            }
            var contents: [String: [UInt8]] = [:]
            for path in touched { contents[path] = try Files.read("\(tree)/\(path)") }
            guard !contents.isEmpty else {
                throw PreparationError(.nothingToFix, "the patches touch documentation and tests only")
            }
            return (contents, [:])
        }
    }

    /// Whether a file that a patch touches can be part of a program. Patches bring their documentation, change
    /// logs and tests along, which go into no object.
    private static func isCode(_ path: String) -> Bool {
        let parts = path.split(separator: "/")
        let aside: Set<Substring> = ["doc", "docs", "test", "tests", "testdata", "demos", "examples", "fuzz"]
        guard !parts.dropLast().contains(where: aside.contains) else { return false }
        return ![".md", ".txt", ".pod", ".rst", ".1", ".3", ".html"].contains { path.hasSuffix($0) }
            && !["CHANGES", "ChangeLog", "NEWS", "README"].contains(Files.name(path))
    }

    /// Notes how many processor seconds each step takes.
    private struct Meter {
        var costs: [PreparedFix.Cost]
        private var last = Command.processorSeconds()

        init(_ costs: [PreparedFix.Cost]) { self.costs = costs }

        mutating func finish(_ step: String) {
            let now = Command.processorSeconds()
            costs.append(PreparedFix.Cost(step: step, seconds: now - last))
            last = now
        }
    }
}

extension Recipe.Fix {
    /// Whether the fixed source has another formatting than the vulnerable one.
    var isReformatted: Bool { if case .reformatted = self { true } else { false } }
}
