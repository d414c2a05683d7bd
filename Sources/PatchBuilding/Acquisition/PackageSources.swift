//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Entries of apt's list of package sources, in both of its styles.
///
/// Source: sources.list(5), "THE ONE-LINE-STYLE FORMAT" and "THE DEB822-STYLE FORMAT".
package struct PackageSources: Sendable, Equatable {
    /// One entry: the same suites and components at the same places.
    package struct Entry: Sendable, Equatable {
        /// `deb` and `deb-src`.
        package var types: [String]
        /// Where the archive is.
        package var uris: [String]
        /// Suites: `bookworm-security`.
        package var suites: [String]
        /// Components: `main`.
        package var components: [String]
        /// Everything else, by its name in the newer style: `Signed-By`.
        package var options: [String: String]

        /// Makes an entry of its parts.
        package init(
            types: [String], uris: [String], suites: [String], components: [String], options: [String: String] = [:]
        ) {
            self.types = types
            self.uris = uris
            self.suites = suites
            self.components = components
            self.options = options
        }
    }

    /// The entries, in the order they were found. Disabled ones are left out.
    package var entries: [Entry]

    /// Makes a list of entries.
    package init(entries: [Entry] = []) {
        self.entries = entries
    }

    /// Adds the entries of a file of the older style (`*.list`). Lines that are not understood are left out:
    /// they would not have been understood by apt either.
    package mutating func addOneLineStyle(_ text: String) {
        for line in text.split(separator: "\n") {
            let content = line.prefix { $0 != "#" }
            var words = content.split { $0 == " " || $0 == "\t" }
            guard let type = words.first, type == "deb" || type == "deb-src" else { continue }
            words.removeFirst()
            var options: [String: String] = [:]
            if words.first?.hasPrefix("[") == true {
                guard let end = words.firstIndex(where: { $0.hasSuffix("]") }) else { continue }
                for word in words[...end] {
                    let option = word.drop { $0 == "[" }.prefix { $0 != "]" }
                    guard let equals = option.firstIndex(of: "=") else { continue }
                    let key = String(option[..<equals]).lowercased()
                    let value = String(option[option.index(after: equals)...].replacing(",", with: " "))
                    options[PackageSources.optionNames[key] ?? key] = value
                }
                words.removeSubrange(...end)
            }
            guard words.count >= 2 else { continue }
            add(
                Entry(
                    types: [String(type)], uris: [String(words[0])], suites: [String(words[1])],
                    components: words[2...].map(String.init), options: options))
        }
    }

    /// Adds the entries of a file of the newer style (`*.sources`).
    package mutating func addDeb822Style(_ text: String) {
        var fields: [String: String] = [:]
        var last: String?
        // An empty line ends a stanza; one more at the end ends the last.
        let lines: [Substring] = text.split(separator: "\n", omittingEmptySubsequences: false) + [""]
        for line in lines {
            if line.hasPrefix("#") { continue }
            if line.allSatisfy({ $0 == " " || $0 == "\t" || $0 == "\r" }) {
                addStanza(fields)
                fields = [:]
                last = nil
            } else if line.hasPrefix(" ") || line.hasPrefix("\t") {
                if let last { fields[last, default: ""] += "\n" + line }
            } else if let colon = line.firstIndex(of: ":") {
                let key = String(line[..<colon]).lowercased()
                fields[key] = PackageSources.trimmed(line[line.index(after: colon)...])
                last = key
            }
        }
    }

    private mutating func addStanza(_ fields: [String: String]) {
        if let enabled = fields["enabled"]?.lowercased(), ["no", "false", "0", "off", "disable"].contains(enabled) {
            return
        }
        func words(_ key: String) -> [String] {
            (fields[key] ?? "").split { $0 == " " || $0 == "\t" || $0 == "\n" }.map(String.init)
        }
        let entry = Entry(
            types: words("types").filter { $0 == "deb" || $0 == "deb-src" }, uris: words("uris"),
            suites: words("suites"), components: words("components"),
            options: fields.filter { !["types", "uris", "suites", "components", "enabled"].contains($0.key) }
                .reduce(into: [:]) { $0[PackageSources.fieldNames[$1.key] ?? $1.key] = $1.value })
        guard !entry.types.isEmpty, !entry.uris.isEmpty, !entry.suites.isEmpty else { return }
        add(entry)
    }

    /// Adds an entry; one that differs from an earlier one in its types only becomes one with it.
    private mutating func add(_ entry: Entry) {
        for index in entries.indices {
            var merged = entries[index]
            merged.types = entry.types
            guard merged == entry else { continue }
            entries[index].types += entry.types.filter { !entries[index].types.contains($0) }
            return
        }
        entries.append(entry)
    }

    private static func trimmed(_ text: Substring) -> String {
        let blank: (Character) -> Bool = { $0 == " " || $0 == "\t" || $0 == "\r" }
        var text = text.drop(while: blank)
        while let last = text.last, blank(last) { text.removeLast() }
        return String(text)
    }

    /// Options of the older style, by their names in the newer one.
    private static let optionNames: [String: String] = [
        "arch": "Architectures", "lang": "Languages", "target": "Targets", "pdiffs": "PDiffs", "by-hash": "By-Hash",
        "signed-by": "Signed-By", "check-valid-until": "Check-Valid-Until", "valid-until-min": "Valid-Until-Min",
        "valid-until-max": "Valid-Until-Max", "check-date": "Check-Date", "date-max-future": "Date-Max-Future",
        "inrelease-path": "InRelease-Path", "snapshot": "Snapshot", "trusted": "Trusted",
        "allow-insecure": "Allow-Insecure", "allow-weak": "Allow-Weak",
        "allow-downgrade-to-insecure": "Allow-Downgrade-To-Insecure",
    ]

    /// Names of fields as they are usually written, by their lower-case form.
    private static let fieldNames: [String: String] = Dictionary(
        uniqueKeysWithValues: optionNames.values.map { ($0.lowercased(), $0) })
}
