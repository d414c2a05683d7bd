//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Files that were fetched once, kept with their digests and used again without network.
///
/// One directory per item, complete when it holds `SHA256SUMS` (the form of sha256sum(1)); it gets its name
/// only then. What is in it is checked each time: a file that changed is fetched again.
actor Mirror {
    /// An item that is there.
    struct Stored: Sendable, Equatable {
        /// Where its files are.
        var directory: String
        /// Its files.
        var files: [Offer.Input]

        /// Absolute paths of its files.
        var paths: [String] { files.map { "\(directory)/\($0.name)" } }
    }

    private let cache: Cache
    private let suite: String
    private let machine: PackageSources
    private var client: AptClient?
    private var listed: [String: [String]] = [:]

    init(cache: Cache, suite: String, machine: PackageSources = .ofMachine()) {
        self.cache = cache
        self.suite = suite
        self.machine = machine
    }

    /// A binary package.
    func binary(_ package: String, version: String) async throws -> Stored {
        try await stored("binary/\(package)/\(version)", [.binary(package: package, version: version)])
    }

    /// The distribution's part of a source version.
    func debian(_ source: String, version: String) async throws -> Stored {
        try await stored("debian/\(source)/\(version)", [.debian(source: source, version: version)])
    }

    /// Upstream's tarballs of an upstream version, of whichever source version has them.
    func upstream(_ source: String, upstream: String) async throws -> Stored {
        let slot = "upstream/\(source)/\(upstream)"
        if let stored = try await complete(slot) { return stored }
        let versions = try await sourceVersions(source).filter { PackageVersion.upstream(of: $0) == upstream }
        guard !versions.isEmpty else {
            throw PreparationError(
                .versionNotListed, "the archive lists no version of \(source) with the upstream version \(upstream)")
        }
        return try await stored(slot, versions.map { .upstream(source: source, version: $0) })
    }

    private func apt() async throws -> AptClient {
        if let client { return client }
        let client = try await AptClient(suite: suite, cache: cache, machine: machine)
        try await client.update()
        self.client = client
        return client
    }

    private func sourceVersions(_ source: String) async throws -> [String] {
        if let versions = listed[source] { return versions }
        let lock = try await cache.lock("apt-" + suite)
        defer { lock.release() }
        let versions = try await apt().sourceVersions(source)
        listed[source] = versions
        return versions
    }

    private func directory(_ slot: String) -> String {
        "\(cache.directory)/mirror/\(suite)/" + PackageVersion.pathPart(slot)
    }

    /// The item if it is there and whole.
    private func complete(_ slot: String) async throws -> Stored? {
        let directory = directory(slot)
        guard let sums = try? Files.read(directory + "/SHA256SUMS") else { return nil }
        let check = try await Command("sha256sum", ["--check", "--strict", "--quiet", "SHA256SUMS"], in: directory)
            .result()
        guard check.status == 0 else { return nil }
        let files = Mirror.inputs(String(decoding: sums, as: UTF8.self))
        return files.isEmpty ? nil : Stored(directory: directory, files: files)
    }

    /// Lines of sha256sum(1): digest, two characters, name.
    static func inputs(_ sums: String) -> [Offer.Input] {
        sums.split(separator: "\n").compactMap { line in
            guard line.utf8.count > 66 else { return nil }
            return Offer.Input(name: String(line.dropFirst(66)), sha256: String(line.prefix(64)))
        }.sorted { $0.name < $1.name }
    }

    /// The item, fetched in one of several ways if it is not there.
    private func stored(_ slot: String, _ items: [AptClient.Item]) async throws -> Stored {
        if let stored = try await complete(slot) { return stored }
        let lock = try await cache.lock("apt-" + suite)
        defer { lock.release() }
        // Another process may have been faster.
        if let stored = try await complete(slot) { return stored }
        let client = try await apt()
        do {
            return try await fetch(slot, items, client)
        } catch let error as PreparationError where error.code != .systemFailed {
            // An old index names files that are gone, and does not name new ones.
            guard try await client.update(ifOlderThan: 600) else { throw error }
            return try await fetch(slot, items, client)
        }
    }

    private func fetch(_ slot: String, _ items: [AptClient.Item], _ client: AptClient) async throws -> Stored {
        var first: PreparationError?
        for item in items {
            let scratch = try ScratchDirectory(in: cache, "fetch")
            let incoming = scratch.path
            do {
                try await client.fetch(item, into: incoming)
                let names = Files.names(incoming)
                guard !names.isEmpty else {
                    throw PreparationError(.fetchFailed, "fetching \(item.name) gave no file")
                }
                let sums = try await Command("sha256sum", ["--"] + names, in: incoming)
                    .succeed(or: .systemFailed, "computing digests")
                try Files.write(sums, to: incoming + "/SHA256SUMS")
                let directory = directory(slot)
                try scratch.move(to: directory)
                return Stored(directory: directory, files: Mirror.inputs(String(decoding: sums, as: UTF8.self)))
            } catch {
                scratch.remove()
                guard let error = error as? PreparationError, error.code != .noSpace else { throw error }
                if first == nil { first = error }
            }
        }
        throw first ?? PreparationError(.fetchFailed, "nothing was to be fetched for \(slot)")
    }
}
