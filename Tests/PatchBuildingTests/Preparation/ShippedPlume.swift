//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import Glibc
import PatchBuilding
import Testing

/// Processes of this machine, looked at and never touched.
enum Processes {
    /// Those whose command line or whose mounts name a directory: what runs in a sandbox has parts of it mounted.
    static func concerned(with directory: String) -> [Int32] {
        let name = directory.split(separator: "/").last.map(String.init) ?? directory
        let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return all.compactMap { Int32($0) }.filter { pid in
            guard pid != getpid() else { return false }
            return ["cmdline", "mountinfo"].contains { file in
                let bytes = FileManager.default.contents(atPath: "/proc/\(pid)/\(file)") ?? Data()
                return String(decoding: bytes, as: UTF8.self).contains(name)
            }
        }
    }

    /// What those are, for people.
    static func description(_ directory: String) -> String {
        concerned(with: directory).map { pid in
            let parts = ["stat", "cmdline"].map { file in
                String(decoding: FileManager.default.contents(atPath: "/proc/\(pid)/\(file)") ?? Data(), as: UTF8.self)
            }
            return parts.joined(separator: " ").replacing("\0", with: " ")
        }.joined(separator: "\n")
    }

    /// Waits until none is left that is concerned with a directory; false if that does not come.
    static func areGone(_ directory: String) async throws -> Bool {
        // As long as it takes on a machine that does much else: the end comes by signals that are sent at once.
        for _ in 0..<600 {
            if concerned(with: directory).isEmpty { return true }
            try await Task.sleep(for: .milliseconds(50))
        }
        return false
    }
}

/// The made-up package with a library that its own build made, and `moult-build` to run on it.
struct ShippedPlume {
    /// Holds everything.
    let directory: String
    let plume: PlumePackage
    /// Path of the recipe; `build.yaml` stands beside it.
    let recipe: String

    /// What is fixed if nothing else is said.
    static let fixedOne =
        "#include \"shallow.h\"\nint one(void)\n{ return DEEP + 1; }\nint line(void) { return __LINE__; }\n"

    /// Fills a cache below a directory and writes the recipe.
    ///
    /// - Parameters:
    ///   - changes: the fixed files.
    ///   - fix: the recipe's `fix` as YAML.
    ///   - fixed: the recipe's `fixed` as YAML.
    ///   - object: the recipe's object.
    ///   - prepare: commands of the build beside those of the package.
    ///   - shipping: commands of the build that made the shipped library instead of the package's.
    init(
        in directory: String, changes: [String: String] = ["src/one.c": ShippedPlume.fixedOne],
        fix: String = "{files: [src/one.c]}", fixed: String = "{tarball: '1.1'}",
        object: String = "usr/lib/libplume.so.1", prepare: [String] = [], shipping: [String] = []
    ) async throws {
        self.directory = directory
        plume = try await PlumePackage(in: directory, changes: changes)
        var build = plume.build
        build.prepare += shipping
        let target = try await FixPreparation.open(
            recipe: plume.recipe(["src/one.c"]), build: build, cache: plume.cache, mode: .full)
        let binary = plume.cache.directory + "/mirror/\(PlumePackage.suite)/binary/libplume1/1.0-1"
        try await shell(
            """
            cp \(target.linkedPath) \(directory)/package/usr/lib/libplume.so.1
            dpkg-deb -b \(directory)/package \(binary)/libplume1_1.0-1_amd64.deb >/dev/null
            cd \(binary); sha256sum *.deb >SHA256SUMS
            rm -rf \(plume.cache.directory)/builds
            """)
        let folder = directory + "/recipes/\(PlumePackage.suite)/plume"
        recipe = folder + "/fix.yaml"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data(
            """
            cves: []
            package: {name: libplume1, object: \(object)}
            vulnerable: ['1.0-1']
            fixed: \(fixed)
            fix: \(fix)

            """.utf8
        ).write(to: URL(filePath: recipe))
        let commands = (plume.build.prepare + prepare).map { "  - \"\($0)\"\n" }.joined()
        try Data(
            """
            build-path: /build/{source}-{upstream}
            build-dependencies: [gcc, make]
            environment: {DEB_BUILD_MAINT_OPTIONS: hardening=+all}
            prepare:
            \(commands)compile: [make -C build -f ../Makefile all]

            """.utf8
        ).write(to: URL(filePath: folder + "/build.yaml"))
    }

    /// Where live patches go.
    var output: String { directory + "/out" }

    /// Where unfinished things are.
    var scratch: String { plume.cache.directory + "/scratch" }

    /// The live patch, or nil if there is none.
    var patch: [UInt8]? { FileManager.default.contents(atPath: output + "/fix.moult").map { [UInt8]($0) } }

    /// `moult-build` of this build.
    static var executable: String {
        get throws {
            let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
            return own.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" } + "/moult-build"
        }
    }

    /// What a run left behind.
    struct Run {
        var status: Int
        var output: String
        var errors: String

        func contains(_ part: String) -> Bool { output.contains(part) }
    }

    /// A shell command that builds the recipe.
    func command(format: String = "json", cache: String? = nil, output: String? = nil) throws -> String {
        "MOULT_CACHE=\(cache ?? plume.cache.directory) \(try ShippedPlume.executable) build \(recipe) "
            + "--output \(output ?? self.output) --format \(format)"
    }

    /// Runs a shell command and keeps its status.
    func run(_ command: String) async throws -> Run {
        let files = directory + "/run." + UUID().uuidString
        try await shell(
            "( \(command)\n) >\(files).output 2>\(files).errors </dev/null && s=0 || s=$?; echo $s >\(files).status")
        func text(_ name: String) -> String {
            String(decoding: FileManager.default.contents(atPath: files + name) ?? Data(), as: UTF8.self)
        }
        return Run(
            status: Int(text(".status").filter(\.isNumber)) ?? -1, output: text(".output"), errors: text(".errors"))
    }

    /// What is in the scratch directory of the cache.
    var unfinished: [String] { (try? FileManager.default.contentsOfDirectory(atPath: scratch)) ?? [] }
}
