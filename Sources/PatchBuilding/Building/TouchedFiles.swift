//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The files that a fix touches, and what of the target is made of them.
struct TouchedFiles: Sendable {
    /// The objects that have to be built again, in link order.
    let objects: [CompileCommand]
    /// Touched files that are the source of an object, from the root of the tree, sorted.
    let sources: [String]
    /// Touched files that objects include and that are no source of one, sorted.
    let headers: [String]
    /// Touched files that may change what is compiled without going into an object themselves, sorted.
    let unfollowed: [String]
    /// For each touched file where the build compiles it.
    private let places: [String: [String]]

    /// Finds out where the files go.
    ///
    /// A file that the recipe names must go into an object. A patch of the distribution brings along what is not for
    /// this target: sources of other programs are left out, and what is neither source nor header is noted.
    ///
    /// - Parameters:
    ///   - paths: the files, from the root of the tree, sorted.
    ///   - build: how the source is built: it says which directories are copied.
    ///   - target: the target.
    ///   - isPatch: whether the files are those of patches, as opposed to named by the recipe.
    ///   - progress: told what is done.
    /// - Throws: `PreparationError`, with `fixNotCompiled` if nothing of the target is made of them.
    init(
        _ paths: [String], build: BuildRecipe, target: TargetBuild, isPatch: Bool,
        progress: @escaping @Sendable (String) -> Void
    ) async throws {
        let tree = target.build.tree
        let groups = paths.map { path in (path: path, places: build.places(of: path)) }
        let going = try await HeaderDependencies(
            build: target.build, target: target.target, cache: target.cache, progress: progress
        ).objects(touching: groups.map(\.places))
        let isSource = Set(target.target.objects.map(\.source))
        var affected: Set<String> = []
        var (sources, headers, unfollowed): ([String], [String], [String]) = ([], [], [])
        var places: [String: [String]] = [:]
        for group in groups {
            let used = group.places.filter { !(going[$0] ?? []).isEmpty }
            places[group.path] = used
            affected.formUnion(used.flatMap { going[$0] ?? [] }.map(\.output))
            if used.contains(where: isSource.contains) {
                sources.append(group.path)
            } else if !used.isEmpty {
                headers.append(group.path)
            } else if !isPatch {
                throw PreparationError(
                    .fixNotCompiled, "\(group.path) goes into no object of \(Files.name(target.target.output))")
            } else if !HeaderDependencies.isSourceOrHeader(group.path) {
                unfollowed.append(group.path)
            } else if !Files.exists("\(tree)/\(group.path)") {
                // A new file, which the changed ones may include.
                headers.append(group.path)
                places[group.path] = group.places.filter { place in
                    Files.exists("\(tree)/" + place.split(separator: "/").dropLast().joined(separator: "/"))
                }
            }
        }
        guard !affected.isEmpty else {
            throw PreparationError(
                .fixNotCompiled,
                "\(paths.joined(separator: ", ")): none goes into an object of \(Files.name(target.target.output))")
        }
        objects = target.target.objects.filter { affected.contains($0.output) }
        self.sources = sources
        self.headers = headers
        self.unfollowed = unfollowed
        self.places = places
    }

    /// The changed contents by the places where the build compiles them.
    ///
    /// - Parameters:
    ///   - fixed: the changed contents by path.
    ///   - tree: absolute path of the tree.
    /// - Throws: `PreparationError` with `patchDoesNotApply` if the build has changed its copy of a file: what was made
    ///   for the original does not fit there.
    func changes(_ fixed: [String: [UInt8]], in tree: String) throws(PreparationError) -> [String: [UInt8]] {
        var changes: [String: [UInt8]] = [:]
        for (path, contents) in fixed {
            for place in places[path] ?? [] {
                if place != path, Files.exists("\(tree)/\(path)") {
                    guard try Files.read("\(tree)/\(place)") == Files.read("\(tree)/\(path)") else {
                        throw PreparationError(
                            .patchDoesNotApply, "the build's copy of \(path), \(place), is not the same as the original"
                        )
                    }
                }
                changes[place] = contents
            }
        }
        return changes
    }
}
