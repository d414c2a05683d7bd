//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials

/// A source package, unpacked as dpkg-source does it, but without needing the `.dsc`.
///
/// What was fetched is read in a sandbox: who can make tar(1) or patch(1) misbehave reaches the directory that is
/// unpacked into, and nothing else.
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

    /// Where a directory that is worked on, and a file that is read, are seen in the sandbox.
    private static let work = Sandbox.own + "/work"
    private static let input = Sandbox.own + "/input"

    private static func sandbox(reading file: String, writing directory: String) -> Sandbox {
        Sandbox().reading(file, at: "\(input)/\(Files.name(file))").writing(directory, at: work)
    }

    /// Unpacks a tarball into a directory that is there.
    ///
    /// - Parameters:
    ///   - strip: how many parts of each name are left out.
    ///   - patterns: which names; empty for all. `*` stands for what has no slash.
    /// - Throws: `PreparationError` with `malformedPackage`.
    static func extract(
        _ tar: String, into root: String, strip: Int, only patterns: [String] = []
    ) async throws(PreparationError) {
        let result = try await unpacking(tar, into: root, strip: strip, only: patterns).result()
        guard result.status == 0 else {
            throw PreparationError.ofTool(
                .malformedPackage, "unpacking \(Files.name(tar)) failed ('tar' ended with \(result.status))",
                said: result.errors)
        }
    }

    private static func unpacking(_ tar: String, into root: String, strip: Int, only patterns: [String]) -> Command {
        let selection = patterns.isEmpty ? [] : ["--wildcards", "--no-wildcards-match-slash", "--"] + patterns
        return Command(
            "tar",
            [
                "--extract", "--no-same-owner", "--strip-components=\(strip)", "--file",
                "\(input)/\(Files.name(tar))", "--directory", work,
            ] + selection, sandbox: sandbox(reading: tar, writing: root))
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
                "-t", "-F", "0", "-N", "-p1", "-u", "-V", "never", "-E", "--no-backup-if-mismatch",
                "--reject-file=-", "-i", "\(input)/\(Files.name(patch))",
            ], in: work, sandbox: sandbox(reading: patch, writing: root)
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
    /// - Throws: `PreparationError` with `notInSource`, naming all that are not there.
    static func files(
        _ paths: [String], ofUpstream upstream: [String], scratch: String
    ) async throws(PreparationError) -> [String: [UInt8]] {
        guard let main = upstream.first(where: { Files.name($0).contains(".orig.tar.") }) else {
            throw PreparationError(.malformedPackage, "there is no upstream tarball to take the fix from")
        }
        let result = try await unpacking(main, into: scratch, strip: 1, only: paths.map { "*/" + $0 }).result()
        // 2: also for a name that is not there, which is told below.
        guard result.status == 0 || result.errors.contains("Not found in archive") else {
            throw PreparationError.ofTool(
                .malformedPackage, "taking the fixed files out of \(Files.name(main)) failed", said: result.errors)
        }
        return try files(paths, in: scratch, called: Files.name(main))
    }

    /// Single files of an unpacked tree.
    ///
    /// - Parameter name: what the tree is, for people.
    /// - Returns: their contents, by path.
    /// - Throws: `PreparationError` with `notInSource`, naming all that are not there.
    static func files(
        _ paths: [String], in root: String, called name: String
    ) throws(PreparationError) -> [String: [UInt8]] {
        // A link could lead out of the tree, to a file of this machine.
        let missing = paths.filter { !Files.isRegular("\(root)/\($0)", below: root) }
        guard missing.isEmpty else {
            throw PreparationError(
                .notInSource,
                "\(name) has no \(missing.count == 1 ? "file" : "files") \(missing.joined(separator: ", "))")
        }
        var contents: [String: [UInt8]] = [:]
        for path in paths { contents[path] = try Files.read("\(root)/\(path)") }
        return contents
    }

    /// One file out of a binary package. Nothing else is unpacked.
    ///
    /// - Throws: `PreparationError`: `notInPackage`, `malformedPackage`.
    static func file(_ path: String, ofBinary package: String, scratch: String) async throws(PreparationError)
        -> [UInt8]
    {
        let name = "\(input)/\(Files.name(package))"
        // The shell's status is that of the last command; an archive that is cut short fails in tar(1) too.
        let result = try await Command(
            "sh",
            [
                "-c", "dpkg-deb --fsys-tarfile \"$1\" | tar --extract --no-same-owner --directory \"$2\" -- \"$3\"",
                "sh",
                name, work, "./" + path,
            ], sandbox: sandbox(reading: package, writing: scratch)
        ).result()
        if result.status != 0, !result.errors.contains("Not found in archive") {
            throw PreparationError.ofTool(
                .malformedPackage, "unpacking \(Files.name(package)) failed", said: result.errors)
        }
        guard Files.isRegular("\(scratch)/\(path)", below: scratch) else {
            throw PreparationError(.notInPackage, "\(Files.name(package)) has no file \(path)")
        }
        return try Files.read("\(scratch)/\(path)")
    }
}
