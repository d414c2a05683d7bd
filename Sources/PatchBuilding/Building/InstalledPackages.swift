//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import Glibc

/// The packages of this machine that go into what is built, so that an auditor can have the same.
enum InstalledPackages {
    /// Where dpkg keeps what it knows of each package (dpkg(1), "FILES").
    private static let database = "/var/lib/dpkg/info"

    /// The programs that make objects: the driver, the compiler proper, and the assembler.
    ///
    /// - Parameter sources: paths of sources; their endings tell which compiler proper reads them (gcc(1), "Options
    ///   Controlling the Kind of Output").
    /// - Throws: `PreparationError` with `missingBuildDependency`.
    static func tools(for sources: [String]) async throws(PreparationError) -> [String] {
        var names: Set<String> = ["as"]
        for source in sources {
            switch source.split(separator: ".").last {
            case "s": break
            case "cc", "cpp", "cxx", "C", "cp", "CPP", "c++": names.insert("cc1plus")
            default: names.insert("cc1")
            }
        }
        let answers = try await Command(
            "sh", ["-e", "-c", "for name; do gcc -print-prog-name=$name; done", "sh"] + names.sorted(),
            sandbox: Sandbox()
        ).succeed(or: .missingBuildDependency, "asking gcc for its programs")
        var files = [try Files.physical("/usr/bin/gcc")]
        for answer in String(decoding: answers, as: UTF8.self).split(separator: "\n") {
            // A name without directory is looked up in PATH.
            files.append(try Files.physical(answer.hasPrefix("/") ? String(answer) : "/usr/bin/\(answer)"))
        }
        return files
    }

    /// The packages with certain names, and those that own certain files.
    ///
    /// A file that no package owns stands for itself.
    ///
    /// - Parameters:
    ///   - names: names of packages that are installed.
    ///   - files: absolute paths.
    /// - Returns: `name=version` of each package with the SHA-256 of dpkg's list of its files, sorted by name.
    /// - Throws: `PreparationError` with `systemFailed`.
    static func named(
        _ names: [String], owning files: [String]
    ) async throws(PreparationError) -> [Offer.Input] {
        var packages = Set(names)
        var strangers: [String] = []
        if !files.isEmpty {
            // 1: some are owned by nobody.
            let answer = try await Command("dpkg-query", ["--search", "--"] + files).result()
            var owned: Set<Substring> = []
            for line in answer.text.split(separator: "\n") where !line.hasPrefix("diversion by ") {
                guard let end = line.firstRange(of: ": ") else { continue }
                packages.formUnion(line[..<end.lowerBound].split(separator: ", ").map(String.init))
                owned.insert(line[end.upperBound...])
            }
            strangers = files.filter { !owned.contains($0[...]) }
        }
        guard !packages.isEmpty else { return [] }
        let shown = try await Command(
            "dpkg-query",
            ["--show", "--showformat=${db:Status-Status} ${binary:Package} ${Package}=${Version}\\n", "--"]
                + packages.sorted()
        ).result()
        var lists: [(name: String, file: String)] = strangers.map { ($0, $0) }
        for line in shown.text.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            guard words.count == 3, words[0] == "installed" else { continue }
            // A package of which several architectures can be installed has its own in the name of its files.
            let list = ["md5sums", "list"].map { "\(database)/\(words[1]).\($0)" }.first(where: Files.exists)
            guard let list else {
                throw PreparationError(.systemFailed, "dpkg has no list of the files of \(words[1])")
            }
            lists.append((words[2], list))
        }
        return try await digests(lists)
    }

    private static func digests(
        _ lists: [(name: String, file: String)]
    ) async throws(PreparationError) -> [Offer.Input] {
        guard !lists.isEmpty else { return [] }
        let sums = try await Command("sha256sum", ["--"] + lists.map(\.file))
            .succeed(or: .systemFailed, "computing digests")
        let lines = String(decoding: sums, as: UTF8.self).split(separator: "\n")
        guard lines.count == lists.count else {
            throw PreparationError(.systemFailed, "sha256sum said something that is not understood")
        }
        var inputs: Set<Offer.Input> = []
        // A backslash in front stands for a name with odd characters (sha256sum(1)).
        for (list, line) in zip(lists, lines) {
            inputs.insert(Offer.Input(name: list.name, sha256: String(line.drop { $0 == "\\" }.prefix(64))))
        }
        return inputs.sorted { ($0.name, $0.sha256) < ($1.name, $1.sha256) }
    }
}
