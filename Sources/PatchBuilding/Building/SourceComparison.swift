//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials

/// Where two source trees differ, by file, hunk and function: what the author of a recipe chooses from.
package struct SourceComparison: Sendable, Equatable {
    /// One file that is in both and differs.
    package struct File: Sendable, Equatable {
        /// Path from the root of the trees.
        package var path: String
        /// Where it differs, in order.
        package var hunks: [Hunk]
    }

    /// One place where a file differs.
    package struct Hunk: Sendable, Equatable {
        /// Its number among those of the file, from 1, as recipes name it.
        package var number: Int
        /// Its lines, from 0, of the old text and of the new: of their forms if formatting does not count.
        package var lines: SourceDiff.Hunk
        /// The functions that it lies in, of the old text and of the new; none outside of all.
        package var functions: [String]
    }

    /// The files that differ, sorted by path.
    package let files: [File]
    /// Files that only the new tree has, sorted.
    package let added: [String]
    /// Files that only the old tree has, sorted.
    package let removed: [String]

    /// Compares two trees.
    ///
    /// - Parameters:
    ///   - old: root of the old tree.
    ///   - new: root of the new tree.
    ///   - paths: the files to look at; nil for all sources and headers in C.
    ///   - isReformatted: whether formatting does not count. It takes about half a second per file.
    ///   - scratch: a directory for files of the tools.
    /// - Throws: `PreparationError`.
    package init(
        old: String, new: String, paths: [String]? = nil, isReformatted: Bool = false, scratch: String
    ) async throws {
        let (left, right) = (try await SourceComparison.paths(old), try await SourceComparison.paths(new))
        let asked = paths.map { Set($0) }
        func isAsked(_ path: String) -> Bool {
            asked?.contains(path) ?? [".c", ".h", ".inc"].contains { path.hasSuffix($0) }
        }
        let differing = try left.intersection(right).filter(isAsked).sorted().filter { path in
            try Files.read("\(old)/\(path)") != Files.read("\(new)/\(path)")
        }
        files = try await Concurrent.map(differing) { path in
            let (before, after) = (try Files.read("\(old)/\(path)"), try Files.read("\(new)/\(path)"))
            let diff =
                isReformatted
                ? try await ReformattedDiff(old: before, new: after, scratch: scratch).diff
                : try await SourceDiff(old: before, new: after, scratch: scratch)
            let functions = diff.functionsOfHunks()
            return File(
                path: path,
                hunks: diff.hunks.enumerated().map { index, hunk in
                    Hunk(number: index + 1, lines: hunk, functions: functions[index])
                })
        }.filter { !$0.hunks.isEmpty }
        added = right.subtracting(left).filter(isAsked).sorted()
        removed = left.subtracting(right).filter(isAsked).sorted()
    }

    /// The regular files of a tree, from its root.
    private static func paths(_ root: String) async throws(PreparationError) -> Set<String> {
        let output = try await Command("find", [".", "-type", "f", "-printf", "%P\\0"], in: root)
            .succeed(or: .systemFailed, "listing a source tree")
        return Set(output.split(separator: 0).map { String(decoding: $0, as: UTF8.self) })
    }
}

extension FixPreparation {
    /// Where the two sources of a recipe differ. Which files and hunks its fix names is not looked at.
    ///
    /// - Parameters:
    ///   - recipe: names the two sources.
    ///   - cache: where everything is kept.
    ///   - paths: the files to look at; nil for all sources and headers in C.
    /// - Throws: `PreparationError`.
    package static func comparison(
        of recipe: Recipe, cache: Cache = .standard(), paths: [String]? = nil
    ) async throws -> SourceComparison {
        try Files.makeDirectory(cache.directory + "/mirror")
        let mirror = Mirror(cache: cache, suite: recipe.location.suite)
        let material = try await Acquisition(mirror: mirror, progress: { _ in }).pick(recipe)
        return try await ScratchDirectory.with(cache, "comparison") { scratch in
            let (old, new) = (scratch + "/old", scratch + "/new")
            try Files.makeDirectory(old)
            try Files.makeDirectory(new)
            _ = try await SourceTree.unpack(
                upstream: material.vulnerableUpstream, debian: material.vulnerableDebian,
                omitting: recipe.rebuildWithout, into: old)
            _ = try await SourceTree.unpack(
                upstream: material.fixedUpstream, debian: material.fixedDebian, into: new)
            return try await SourceComparison(
                old: old, new: new, paths: paths, isReformatted: recipe.fix.isReformatted, scratch: scratch)
        }
    }
}
