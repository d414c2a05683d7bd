//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials

/// A source package, unpacked as dpkg-source does it, but without needing the `.dsc`.
///
/// Source: dpkg-source(1), "Format: 3.0 (quilt)".
struct SourceTree: Sendable {
    /// Root of the tree.
    let root: String

    /// Unpacks upstream's tarballs and the distribution's part, and applies the distribution's patches.
    ///
    /// - Parameters:
    ///   - upstream: `<source>_<version>.orig.tar.*`, and components `.orig-<name>.tar.*`.
    ///   - debian: `<source>_<version>.debian.tar.*`; none for upstream's tree alone.
    ///   - omitted: patches of the distribution that are left out, by their names in `debian/patches/series`.
    ///   - root: a directory that is there and empty.
    /// - Throws: `PreparationError`: `malformedPackage`, `patchDoesNotApply`.
    static func unpack(
        upstream: [String], debian: [String], omitting omitted: [String] = [], into root: String
    ) async throws(PreparationError) -> SourceTree {
        guard let main = upstream.first(where: { Files.name($0).contains(".orig.tar.") }) else {
            throw PreparationError(
                .malformedPackage,
                "no upstream tarball among \(upstream.map(Files.name).joined(separator: ", "))")
        }
        try await extract(main, into: root, strip: 1)
        for component in upstream {
            let name = Files.name(component)
            guard let start = name.firstRange(of: ".orig-")?.upperBound,
                let end = name.firstRange(of: ".tar.")?.lowerBound, start < end, !name.hasSuffix(".asc")
            else { continue }
            let directory = root + "/" + name[start..<end]
            try Files.remove(directory)
            try Files.makeDirectory(directory)
            try await extract(component, into: directory, strip: 1)
        }
        if !debian.isEmpty {
            guard let tar = debian.first(where: { Files.name($0).contains(".debian.tar.") }) else {
                throw PreparationError(
                    .malformedPackage,
                    "only source format 3.0 (quilt) is understood, not that of "
                        + debian.map(Files.name).joined(separator: ", "))
            }
            try Files.remove(root + "/debian")
            try await extract(tar, into: root, strip: 0)
            try await applySeries(root, omitting: omitted)
        } else if let name = omitted.first {
            throw notInSeries(name)
        }
        return SourceTree(root: root)
    }

    private static func extract(_ tar: String, into root: String, strip: Int) async throws(PreparationError) {
        try await Command(
            "tar", ["--extract", "--no-same-owner", "--strip-components=\(strip)", "--file", tar, "--directory", root]
        ).succeed(or: .malformedPackage, "unpacking \(Files.name(tar))")
    }

    private static func applySeries(_ root: String, omitting omitted: [String]) async throws(PreparationError) {
        let patches = root + "/debian/patches"
        var left = omitted
        let series =
            Files.exists(patches + "/series")
            ? String(decoding: try Files.read(patches + "/series"), as: UTF8.self) : ""
        for line in series.split(separator: "\n") {
            // What follows the name are options, which dpkg-source does not heed either.
            guard let name = line.prefix(while: { $0 != "#" }).split(whereSeparator: { $0 == " " || $0 == "\t" }).first
            else { continue }
            guard NameRule.path(String(name)) else {
                throw PreparationError(.malformedPackage, "debian/patches/series names '\(name)'")
            }
            if let index = left.firstIndex(of: String(name)) {
                left.remove(at: index)
            } else {
                try await apply("\(patches)/\(name)", to: root)
            }
        }
        if let name = left.first { throw notInSeries(name) }
    }

    private static func notInSeries(_ name: String) -> PreparationError {
        PreparationError(
            .patchDoesNotApply, "'\(name)' shall be left out, but the distribution's patches have none of this name")
    }

    /// Applies one patch as dpkg-source does: no fuzz, nothing asked.
    ///
    /// - Throws: `PreparationError` with `patchDoesNotApply`.
    static func apply(_ patch: String, to root: String) async throws(PreparationError) {
        try await Command(
            "patch",
            [
                "-t", "-F", "0", "-N", "-p1", "-u", "-V", "never", "-E", "-s", "--no-backup-if-mismatch",
                "--reject-file=-", "-i", patch,
            ], in: root
        ).succeed(or: .patchDoesNotApply, "applying \(Files.name(patch))")
    }

    /// The files that a patch touches, by the names on its `+++` lines without their first part.
    ///
    /// - Throws: `PreparationError` with `patchDoesNotApply` if it removes a file or names one outside the tree.
    static func filesTouched(by patch: String) throws(PreparationError) -> [String] {
        var files: [String] = []
        for line in String(decoding: try Files.read(patch), as: UTF8.self).split(separator: "\n")
        where line.hasPrefix("+++ ") {
            let name = line.dropFirst(4).prefix { $0 != "\t" && $0 != " " }
            let path = name.split(separator: "/", omittingEmptySubsequences: false).dropFirst().joined(separator: "/")
            guard name != "/dev/null", NameRule.path(path) else {
                throw PreparationError(
                    .patchDoesNotApply, "\(Files.name(patch)) removes a file, or one named '\(name)'")
            }
            if !files.contains(path) { files.append(path) }
        }
        return files
    }

    /// Single files out of upstream's tarball.
    ///
    /// - Returns: their contents, by path.
    /// - Throws: `PreparationError` with `malformedPackage` if one is not there.
    static func files(
        _ paths: [String], ofUpstream upstream: [String], scratch: String
    ) async throws(PreparationError) -> [String: [UInt8]] {
        guard let main = upstream.first(where: { Files.name($0).contains(".orig.tar.") }) else {
            throw PreparationError(.malformedPackage, "there is no upstream tarball to take the fix from")
        }
        try await Command(
            "tar",
            [
                "--extract", "--no-same-owner", "--strip-components=1", "--file", main, "--directory", scratch,
                "--wildcards", "--no-wildcards-match-slash", "--",
            ] + paths.map { "*/" + $0 }
        ).succeed(or: .malformedPackage, "taking the fixed files out of \(Files.name(main))")
        var contents: [String: [UInt8]] = [:]
        for path in paths { contents[path] = try Files.read("\(scratch)/\(path)") }
        return contents
    }

    /// One file out of a binary package.
    ///
    /// - Throws: `PreparationError` with `malformedPackage`.
    static func file(_ path: String, ofBinary package: String, scratch: String) async throws(PreparationError)
        -> [UInt8]
    {
        try await Command("dpkg-deb", ["--extract", package, scratch])
            .succeed(or: .malformedPackage, "unpacking \(Files.name(package))")
        guard let data = FileManager.default.contents(atPath: "\(scratch)/\(path)") else {
            throw PreparationError(.malformedPackage, "\(Files.name(package)) has no file \(path)")
        }
        return [UInt8](data)
    }
}
