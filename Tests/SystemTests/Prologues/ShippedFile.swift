//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import Glibc

@testable import PatchBuilding

/// A binary as Debian ships it, surveyed. Packages are fetched into the cache and unpacked, never installed.
struct ShippedFile: Sendable {
    /// Which file of which package.
    struct Location: Sendable {
        let package: String
        let path: String
        var name: String { Files.name(path) }
    }

    static let locations = [
        Location(package: "libssl3", path: "usr/lib/x86_64-linux-gnu/libcrypto.so.3"),
        Location(package: "libc6", path: "lib/x86_64-linux-gnu/libc.so.6"),
        Location(package: "libstdc++6", path: "usr/lib/x86_64-linux-gnu/libstdc++.so.6"),
        Location(package: "nginx", path: "usr/sbin/nginx"),
        Location(package: "qemu-system-x86", path: "usr/bin/qemu-system-x86_64"),
    ]

    let location: Location
    let version: String
    /// Where it was unpacked to.
    let path: String
    let survey: PrologueSurvey
    /// Sections that hold code: name and addresses.
    let codeSections: [(name: String, addresses: Range<Int>)]

    /// All of them. Surveyed once for all tests of a run.
    static func all() async throws -> [ShippedFile] { try await made.value }

    private static let made = Task {
        let directory = try Files.makeTemporary(in: Cache.standard().directory, "survey")
        defer { try? Files.remove(directory) }
        var result: [ShippedFile] = []
        for location in locations { result.append(try await ShippedFile(location, below: directory)) }
        return result
    }

    private init(_ location: Location, below directory: String) async throws {
        self.location = location
        let (version, package) = try await Self.fetch(location.package)
        self.version = version
        let unpacked = directory + "/" + location.package
        try await Command("dpkg-deb", ["--extract", package, unpacked]).succeed(or: .systemFailed, "unpacking")
        let bytes = try Files.read(unpacked + "/" + location.path)
        path = try Self.directory() + "/" + location.name
        try Files.write(bytes, to: path)
        survey = try PrologueSurvey(shipped: bytes)
        codeSections = try ShippedBinary(bytes).sections.filter(\.isCode).map { ($0.name, $0.addresses) }
    }

    /// A directory of this run, removed at its end.
    static func directory() throws -> String {
        try Files.makeDirectory(temporary)
        return temporary
    }

    private static let temporary: String = {
        atexit { try? Files.remove(ShippedFile.temporary) }
        return FileManager.default.temporaryDirectory.path + "/moult-prologues-\(getpid())"
    }()

    /// The package in whatever version the cache has, so that a second run needs no network; else the newest.
    private static func fetch(_ package: String) async throws -> (version: String, path: String) {
        let cache = Cache.standard()
        let mirror = Mirror(cache: cache, suite: "bookworm")
        let known = Files.names("\(cache.directory)/mirror/bookworm/binary/\(package)").last
        let version =
            if let known { known.replacing("%3a", with: ":") } else { try await newest(package, cache: cache) }
        let stored = try await mirror.binary(package, version: version)
        return (version, stored.paths[0])
    }

    private static func newest(_ package: String, cache: Cache) async throws -> String {
        let lock = try await cache.lock("apt-bookworm")
        defer { lock.release() }
        let client = try await AptClient(suite: "bookworm", cache: cache)
        try await client.update()
        let output = try await Command(
            "apt-cache", ["show", "--no-all-versions", package],
            environment: ["APT_CONFIG": client.directory + "/apt.conf"]
        ).succeed(or: .systemFailed, "asking for \(package)")
        for line in String(decoding: output, as: UTF8.self).split(separator: "\n") where line.hasPrefix("Version: ") {
            return String(line.dropFirst(9))
        }
        throw PreparationError(.versionNotListed, "no version of \(package) is listed")
    }
}
