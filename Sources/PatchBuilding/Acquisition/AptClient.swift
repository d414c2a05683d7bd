//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import Glibc

/// apt with lists, cache and sources of its own; the system's stay as they are.
///
/// Every file is fetched by itself, because files of one version go missing one by one from an archive, and
/// apt checks each against the signed index. Sources: apt.conf(5), apt-get(8).
package struct AptClient: Sendable {
    /// The directory that holds everything of this client.
    let directory: String
    /// The suite that it knows.
    let suite: String

    private var configuration: String { directory + "/apt.conf" }
    private var environment: [String: String?] { ["APT_CONFIG": configuration] }

    /// A client for one suite, with the machine's own entries for it.
    ///
    /// - Throws: `PreparationError` with `noPackageSource` if there are none.
    init(suite: String, cache: Cache, machine: PackageSources = .ofMachine()) async throws(PreparationError) {
        self.suite = suite
        directory = cache.directory + "/apt/" + suite
        let sources = machine.ofDistribution(suite: suite)
        guard !sources.entries.isEmpty else {
            throw PreparationError(
                .noPackageSource,
                "the package sources of this machine (/etc/apt) have no entry of Debian for \(suite) with component main"
            )
        }
        for name in ["lists/partial", "cache/archives/partial", "sources"] {
            try Files.makeDirectory("\(directory)/\(name)")
        }
        let text = sources.deb822
        let list = directory + "/sources/machine.sources"
        if (try? Files.read(list)) != Array(text.utf8) {
            try Files.remove(stamp)
            try Files.write(text, to: list)
        }
        try Files.write(try await settings(), to: configuration)
    }

    /// The configuration: the machine's settings for fetching (proxies), and our own directories. Its other
    /// settings are not taken over: hooks of an update would touch the system's own state, and what allows
    /// unsigned archives is not for us.
    private func settings() async throws(PreparationError) -> String {
        let dump = try await Command("apt-config", ["dump"]).succeed(or: .systemFailed, "reading apt's configuration")
        let others = ["Acquire::Allow", "Acquire::IndexTargets", "Acquire::Changelogs", "Acquire::Languages"]
        let fetching = String(decoding: dump, as: UTF8.self).split(separator: "\n").filter { line in
            line.hasPrefix("Acquire::") && !others.contains { line.hasPrefix($0) }
        }
        var lines = fetching.map(String.init)
        lines += [
            "Dir::Etc::main \"/dev/null\";", "Dir::Etc::parts \"/dev/null\";", "Dir::Etc::sourcelist \"/dev/null\";",
            "Dir::Etc::sourceparts \"\(directory)/sources\";", "Dir::State::lists \"\(directory)/lists\";",
            "Dir::Cache \"\(directory)/cache\";", "Acquire::Languages \"none\";", "Acquire::Retries \"3\";",
            "DPkg::Lock::Timeout \"600\";", "APT::Get::AllowUnauthenticated \"false\";",
        ]
        if getuid() == 0, !isOpenToOthers { lines.append("APT::Sandbox::User \"root\";") }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Whether apt's unprivileged user can reach the directory; a home of mode 0700 is in the way.
    private var isOpenToOthers: Bool {
        var path = ""
        for part in directory.split(separator: "/") {
            path += "/" + part
            var status = stat()
            guard stat(path, &status) == 0, status.st_mode & 0o001 != 0 else { return false }
        }
        return true
    }

    private var stamp: String { directory + "/updated" }

    /// Fetches the signed indices if there are none yet, or none of the last hours.
    ///
    /// - Parameter age: how old, in seconds, they may be.
    /// - Returns: whether they were fetched.
    @discardableResult
    func update(ifOlderThan age: Double = 6 * 3600) async throws(PreparationError) -> Bool {
        var status = stat()
        if stat(stamp, &status) == 0 {
            let now = Date().timeIntervalSince1970
            guard now - Double(status.st_mtim.tv_sec) > age else { return false }
        }
        try await Command("apt-get", ["update"], environment: environment)
            .succeed(or: .fetchFailed, "fetching the package indices of \(suite)")
        try Files.write("", to: stamp)
        return true
    }

    /// The versions of a source package that the indices list, the order being theirs.
    func sourceVersions(_ source: String) async throws(PreparationError) -> [String] {
        let result = try await Command("apt-cache", ["showsrc", "--only-source", source], environment: environment)
            .result()
        var versions: [String] = []
        for line in result.text.split(separator: "\n") where line.hasPrefix("Version: ") {
            let version = String(line.dropFirst(9))
            if !versions.contains(version) { versions.append(version) }
        }
        return versions
    }

    /// What is fetched at once.
    package enum Item: Sendable, Equatable {
        /// Upstream's tarballs of a source version.
        case upstream(source: String, version: String)
        /// The distribution's part of a source version.
        case debian(source: String, version: String)
        /// A binary package.
        case binary(package: String, version: String)

        /// For people.
        package var name: String {
            switch self {
            case .upstream(let source, let version): "upstream tarball of \(source) \(version)"
            case .debian(let source, let version): "Debian's part of \(source) \(version)"
            case .binary(let package, let version): "\(package) \(version)"
            }
        }

        fileprivate var arguments: [String] {
            switch self {
            case .upstream(let source, let version):
                ["source", "--only-source", "--download-only", "--tar-only", "\(source)=\(version)"]
            case .debian(let source, let version):
                ["source", "--only-source", "--download-only", "--diff-only", "\(source)=\(version)"]
            case .binary(let package, let version):
                ["download", "\(package)=\(version)"]
            }
        }
    }

    /// Fetches into a directory.
    ///
    /// - Throws: `PreparationError`: `versionNotListed`, `fileNotOffered` naming the file, `fetchFailed`.
    func fetch(_ item: Item, into directory: String) async throws(PreparationError) {
        let result = try await Command("apt-get", item.arguments, in: directory, environment: environment).result()
        guard result.status != 0 else { return }
        throw AptClient.failure(of: item, saying: result.errors)
    }

    /// What the words of a failed `apt-get` mean.
    package static func failure(of item: Item, saying errors: String) -> PreparationError {
        let lines = errors.split(separator: "\n").filter { $0.hasPrefix("E: ") }
        let details = lines.joined(separator: "\n")
        let missing = lines.filter { $0.hasPrefix("E: Failed to fetch ") && $0.contains(" 404 ") }
            .compactMap { $0.dropFirst(19).split(separator: " ").first }
            .map { Files.name(String($0)).replacing("%7e", with: "~").replacing("%3a", with: ":") }
        if !missing.isEmpty {
            return PreparationError(
                .fileNotOffered, "the archive lists \(missing.joined(separator: ", ")) but does not have it",
                details: details)
        }
        let unlisted = [
            "Can not find version", "was not found", "Unable to find a source package", "Unable to locate package",
        ]
        if lines.contains(where: { line in unlisted.contains { line.contains($0) } }) {
            return PreparationError(.versionNotListed, "the archive does not list \(item.name)", details: details)
        }
        return PreparationError(
            .fetchFailed, "fetching \(item.name) failed",
            details: details.isEmpty ? Command.end(errors) : details)
    }
}
