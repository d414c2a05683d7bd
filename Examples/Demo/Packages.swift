//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials

/// Debian's packages, unpacked beside the system and not installed into it.
struct Packages {
    /// Runs apt.
    let runner: Runner
    /// Where downloaded packages are kept.
    let cache: String

    /// Directory with the shared libraries of a version of libssl3.
    func libraries(version: String) throws(DemoError) -> String {
        try unpack(try file("libssl3", version: version), as: "libraries") + "/usr/lib/x86_64-linux-gnu"
    }

    /// Debian's nginx, of the newest version that can be had.
    func nginx() throws(DemoError) -> (executable: String, version: String) {
        let lines = try runner.succeed(["apt-cache", "madison", "nginx"], step: "set-up").split(separator: "\n")
        var versions: [String] = []
        for line in lines {
            let columns = line.split(separator: "|").map { $0.trimmingPrefix(while: { $0 == " " }) }
            guard columns.count == 3, columns[2].contains("Packages") else { continue }
            let version = String(columns[1].prefix { $0 != " " })
            if !versions.contains(version) { versions.append(version) }
        }
        for version in versions {
            guard let file = try? file("nginx", version: version) else {
                print("  nginx \(version) is listed but cannot be had")
                continue
            }
            return (try unpack(file, as: "nginx") + "/usr/sbin/nginx", version)
        }
        throw DemoError(code: .missing, reason: "no version of Debian's nginx can be had; run 'apt-get update'")
    }

    /// The package's file: what `moult build` has fetched, what an earlier run has fetched, or a new download, which
    /// apt checks against the signed index.
    private func file(_ package: String, version: String) throws(DemoError) -> String {
        let escaped = version.replacing(":", with: "%3a")
        let kept = cache + "/demo/packages"
        for directory in [cache + "/mirror/bookworm/binary/\(package)/\(escaped)", kept] {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
            if let name = names.first(where: { $0.hasPrefix("\(package)_\(escaped)_") && $0.hasSuffix(".deb") }) {
                return directory + "/" + name
            }
        }
        // apt-get writes into the working directory, under the package's own name.
        let incoming = runner.workplace.path("incoming")
        do {
            try FileManager.default.createDirectory(atPath: kept, withIntermediateDirectories: true)
            try FileManager.default.createDirectory(atPath: incoming, withIntermediateDirectories: true)
        } catch {
            throw DemoError(code: .system, reason: "\(kept) cannot be made")
        }
        let download = ["apt-get", "download", "\(package)=\(version)"]
        if try runner.run(["env", "-C", incoming] + download, step: "set-up").code != 0 {
            // The index may be missing or old.
            _ = try runner.run(["apt-get", "-o", "DPkg::Lock::Timeout=600", "update"], step: "set-up")
            _ = try runner.succeed(["env", "-C", incoming] + download, step: "set-up")
        }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: incoming)) ?? []
        guard let name = names.first(where: { $0.hasPrefix("\(package)_") && $0.hasSuffix(".deb") }) else {
            throw DemoError(code: .missing, reason: "apt-get gave no \(package) \(version)")
        }
        _ = try runner.succeed(["mv", "-f", incoming + "/" + name, kept + "/" + name], step: "set-up")
        return kept + "/" + name
    }

    private func unpack(_ file: String, as name: String) throws(DemoError) -> String {
        _ = try runner.succeed(["dpkg-deb", "-x", file, runner.workplace.path(name)], step: "set-up")
        return runner.workplace.path(name)
    }
}
