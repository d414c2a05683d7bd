//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ArgumentParser
import Commands
internal import Glibc

/// The executables that do the work. Each lies beside `moult`.
enum Sibling: String {
    /// Builds and shows live patches.
    case builder = "moult-build"
    /// Reads processes.
    case observer = "moult-observer"
    /// Writes into processes.
    case applier = "moult-applier"

    /// Replaces this process by the sibling (execve(2)), so that its exit code, its signals and its standard
    /// streams are the command's own.
    /// - Parameters:
    ///   - command: The command's name, the sibling's first argument.
    ///   - arguments: Its arguments, normalised: options first, then `--`, then operands.
    ///   - format: How a failure to start the sibling is reported.
    /// - Throws: `ExitCode(1)` after reporting, if the sibling cannot be started.
    func run(_ command: String, _ arguments: HandOver, format: Format) throws -> Never {
        let path = "\(Self.directory)/\(rawValue)"
        // Names cannot hold a zero byte, arguments of a process cannot either: strdup loses nothing.
        var vector = ([rawValue, command] + arguments.arguments).map { strdup($0) }
        vector.append(nil)
        execv(path, vector)
        let error = errno
        vector.forEach { free($0) }
        Failure(
            reason: "executable-missing",
            message: "cannot run \(path): \(String(cString: strerror(error)))",
            remedy: "Install \(rawValue) in the same directory as moult."
        ).report(command: command, format: format.output)
        throw ArgumentParser.ExitCode(Commands.ExitCode.failed.rawValue)
    }

    /// The directory of this executable, as the kernel knows it: PATH, links and `argv[0]` do not matter,
    /// so nobody can slip in another sibling through them.
    private static var directory: String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let length = readlink("/proc/self/exe", &buffer, Int(PATH_MAX))
        guard length > 0 else { return "." }
        let path = String(decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "" }
        return String(path[..<slash])
    }
}

/// The arguments of a sibling, built up.
struct HandOver {
    private(set) var arguments: [String] = []

    /// Adds a flag if it was given.
    mutating func flag(_ name: String, _ given: Bool) {
        if given { arguments.append("--\(name)") }
    }

    /// Adds an option if it has a value.
    mutating func option(_ name: String, _ value: String?) {
        guard let value else { return }
        arguments.append("--\(name)")
        arguments.append(value)
    }

    /// Ends the options and adds operands.
    mutating func operands(_ values: [String]) {
        guard !values.isEmpty else { return }
        arguments.append("--")
        arguments.append(contentsOf: values)
    }
}
