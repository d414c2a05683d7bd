//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation

/// One run of an executable: what it printed and how it ended.
struct CommandRun {
    var exitCode: Int32
    var output: String
    var error: String

    /// Runs an executable to its end.
    /// - Parameters:
    ///   - executable: Its path.
    ///   - arguments: Its arguments.
    ///   - environment: Added to a small environment; the one of the test itself is not passed on.
    init(_ executable: URL, _ arguments: [String], environment: [String: String] = [:]) throws {
        let process = Process()
        process.executableURL = executable
        process.arguments = arguments
        process.environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "COLUMNS": "80", "LC_ALL": "C.UTF-8"]
            .merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        // Files, not pipes: nothing can block on a full one.
        let directory = try TemporaryDirectory()
        let outputFile = directory.url.appending(path: "output")
        let errorFile = directory.url.appending(path: "error")
        for file in [outputFile, errorFile] { try Data().write(to: file) }
        process.standardOutput = try FileHandle(forWritingTo: outputFile)
        process.standardError = try FileHandle(forWritingTo: errorFile)
        try process.run()
        process.waitUntilExit()
        exitCode = process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
        output = try String(contentsOf: outputFile, encoding: .utf8)
        error = try String(contentsOf: errorFile, encoding: .utf8)
    }

    /// The directory that holds the executables of this build: the one of the test itself.
    static var buildDirectory: URL {
        let path = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "/"
        return URL(fileURLWithPath: path).deletingLastPathComponent()
    }

    /// An executable of this build.
    static func built(_ name: String) -> URL {
        buildDirectory.appending(path: name)
    }
}

/// A directory that goes away with its last reference.
final class TemporaryDirectory {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appending(path: "moult-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    /// Writes a file and returns where it is.
    @discardableResult
    func write(_ name: String, _ contents: String, executable: Bool = false) throws -> URL {
        let file = url.appending(path: name)
        try Data(contents.utf8).write(to: file)
        if executable {
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.path)
        }
        return file
    }
}
