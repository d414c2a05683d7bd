//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials

/// The command line.
struct DemoOptions {
    /// Directory with the recipes `bookworm/openssl/*.yaml`.
    var recipes = "Recipes"
    /// Directory with the live patches; if given, nothing is built.
    var patches: String?
    /// Where downloaded packages are kept.
    var cache: String
    /// Directory with `moult` and `TLSService`.
    var tools: String
    /// Sessions that are opened to each server.
    var sessions = 200
    /// nginx's workers.
    var workers = 4
    /// Whether one byte of a live patch is spoiled after the build, so that it fixes nothing any more.
    var breakPatch = false
    /// Seconds that everything after the build may take.
    var limit: UInt32 = 300

    static let usage = """
        usage: moult-demo [--recipes DIRECTORY] [--patches DIRECTORY] [--cache DIRECTORY] [--tools DIRECTORY]
                          [--sessions N] [--workers N] [--limit SECONDS] [--break-patch]
        """

    /// Reads the arguments, the first of which is the program's own name.
    init(_ arguments: [String], environment: [String: String]) throws(DemoError) {
        let home = environment["HOME"] ?? "/root"
        cache = environment["MOULT_CACHE"] ?? (environment["XDG_CACHE_HOME"] ?? home + "/.cache") + "/moult"
        let executable = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "."
        tools = String(executable.prefix(upTo: executable.lastIndex(of: "/") ?? executable.endIndex))
        var rest = arguments.dropFirst()
        while let name = rest.popFirst() {
            if name == "--break-patch" {
                breakPatch = true
                continue
            }
            guard let value = rest.popFirst() else { throw Self.wrong }
            switch name {
            case "--recipes": recipes = value
            case "--patches": patches = value
            case "--cache": cache = value
            case "--tools": tools = value
            case "--sessions": sessions = try Self.number(value, 1...1000)
            case "--workers": workers = try Self.number(value, 1...64)
            case "--limit": limit = UInt32(try Self.number(value, 10...3600))
            default: throw Self.wrong
            }
        }
    }

    private static var wrong: DemoError { DemoError(code: .usage, reason: usage) }

    private static func number(_ text: String, _ range: ClosedRange<Int>) throws(DemoError) -> Int {
        guard let value = Int(text), range.contains(value) else { throw wrong }
        return value
    }
}
