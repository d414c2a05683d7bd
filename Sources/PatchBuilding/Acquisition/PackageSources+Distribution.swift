//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials

extension PackageSources {
    /// Options that make apt accept what is not signed: never taken over.
    private static let insecureOptions: Set<String> = [
        "Trusted", "Allow-Insecure", "Allow-Weak", "Allow-Downgrade-To-Insecure",
    ]

    /// The machine's own entries: `sources.list` and `sources.list.d` below a directory (`/etc/apt`).
    ///
    /// Only names that apt itself reads: letters, digits, `_`, `-`, `.`, ending in `.list` or `.sources`
    /// (sources.list(5), "SOURCES.LIST.D").
    package static func ofMachine(_ directory: String = "/etc/apt") -> PackageSources {
        var sources = PackageSources()
        func text(_ path: String) -> String? {
            FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
        }
        if let list = text(directory + "/sources.list") { sources.addOneLineStyle(list) }
        for name in Files.names(directory + "/sources.list.d") where isRead(name) {
            guard let content = text("\(directory)/sources.list.d/\(name)") else { continue }
            if name.hasSuffix(".list") {
                sources.addOneLineStyle(content)
            } else if name.hasSuffix(".sources") {
                sources.addDeb822Style(content)
            }
        }
        return sources
    }

    private static func isRead(_ name: String) -> Bool {
        name.utf8.allSatisfy {
            (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0)
                || "_-.".utf8.contains($0)
        }
    }

    /// The entries of the distribution itself for one suite, each with sources and packages.
    ///
    /// Those are the entries of `<suite>`, `<suite>-updates` and `<suite>-security` with component `main` whose
    /// key is one of Debian's or not named. Entries of others, for whatever suite, are of no use here and may
    /// make an update fail; options that switch off the check of signatures are dropped.
    ///
    /// - Parameter suite: `bookworm`.
    package func ofDistribution(suite: String) -> PackageSources {
        let names: Set<String> = [suite, suite + "-updates", suite + "-security", suite + "/updates"]
        var result = PackageSources()
        for var entry in entries {
            entry.suites = entry.suites.filter { names.contains($0) }
            entry.components = entry.components.filter { $0 == "main" }
            entry.uris = entry.uris.filter { !$0.hasPrefix("cdrom:") }
            guard !entry.suites.isEmpty, !entry.components.isEmpty, !entry.uris.isEmpty else { continue }
            if let key = entry.options["Signed-By"], !key.contains("debian") && !key.contains("BEGIN PGP") { continue }
            entry.options = entry.options.filter { !PackageSources.insecureOptions.contains($0.key) }
            entry.types = ["deb", "deb-src"]
            if !result.entries.contains(entry) { result.entries.append(entry) }
        }
        return result
    }

    /// The entries as a file of the newer style.
    package var deb822: String {
        entries.map { entry in
            var lines = [
                "Types: " + entry.types.joined(separator: " "), "URIs: " + entry.uris.joined(separator: " "),
                "Suites: " + entry.suites.joined(separator: " "),
            ]
            if !entry.components.isEmpty { lines.append("Components: " + entry.components.joined(separator: " ")) }
            for (name, value) in entry.options.sorted(by: { $0.key < $1.key }) {
                lines.append("\(name):" + (value.hasPrefix("\n") ? "" : " ") + value)
            }
            return lines.joined(separator: "\n") + "\n"
        }.joined(separator: "\n")
    }
}
