//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The compiler of this machine, held against the one that a binary was built with.
struct Compiler: Sendable, Equatable {
    /// As GCC names itself behind its name: `(Debian 12.2.0-14+deb12u1) 12.2.0`.
    var version: String

    /// The compiler that builds use.
    ///
    /// - Throws: `PreparationError` with `missingBuildDependency`.
    static func ofMachine() async throws(PreparationError) -> Compiler {
        let output = try await Command("gcc", ["--version"], sandbox: Sandbox())
            .succeed(or: .missingBuildDependency, "asking gcc for its version")
        let line = String(decoding: output, as: UTF8.self).split(separator: "\n").first ?? ""
        return Compiler(version: line.firstIndex(of: "(").map { String(line[$0...]) } ?? String(line))
    }

    /// Versions that a binary names in `.comment`: texts that begin with `GCC: `. Debian strips the section from
    /// what it ships, so there is often none.
    static func named(in binary: [UInt8]) -> [String] {
        let mark = Array("GCC: (".utf8)
        var versions: [String] = []
        var index = 0
        while let start = binary[index...].firstIndex(of: mark[0]) {
            index = start + 1
            guard binary[start...].starts(with: mark) else { continue }
            let text = binary[(start + 5)...].prefix(200).prefix { (0x20..<0x7f).contains($0) }
            let version = String(decoding: text, as: UTF8.self)
            if !versions.contains(version) { versions.append(version) }
        }
        return versions
    }

    /// Refuses if the binary, or where it does not say the recipe, names another compiler.
    ///
    /// - Throws: `PreparationError` with `otherCompiler`, naming both.
    func check(binary: [UInt8], named path: String, expected: String) throws(PreparationError) {
        var names = Compiler.named(in: binary)
        if names.isEmpty, !expected.isEmpty { names = [expected] }
        guard !names.isEmpty, !names.contains(version) else { return }
        throw PreparationError(
            .otherCompiler,
            "\(path) was built with gcc \(names.joined(separator: " and ")); the one here is \(version)")
    }

    /// Refuses if packages are not installed.
    ///
    /// - Returns: `name=version` of each and of the compiler's own, sorted.
    /// - Throws: `PreparationError` with `missingBuildDependency`, naming them.
    static func checkInstalled(_ packages: [String]) async throws(PreparationError) -> [String] {
        let own = ["binutils", "gcc", "libc6-dev", "linux-libc-dev"]
        let result = try await Command(
            "dpkg-query",
            ["--show", "--showformat=${db:Status-Status} ${Package}=${Version}\\n", "--"] + packages + own
        ).result()
        let installed = result.text.split(separator: "\n").filter { $0.hasPrefix("installed ") }
            .map { String($0.dropFirst(10)) }
        let names = Set(installed.map { $0.prefix { $0 != "=" } })
        let missing = packages.filter { !names.contains($0[...]) }
        guard missing.isEmpty else {
            let names = missing.joined(separator: " ")
            throw PreparationError(
                .missingBuildDependency, "the build needs packages that are not installed: apt-get install \(names)")
        }
        return Set(installed).sorted()
    }
}
