//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation

/// A directory of its own that is gone when the test is.
final class TemporaryDirectory {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "machinecode-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ bytes: [UInt8], as name: String) throws -> String {
        let file = path + "/" + name
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        return file
    }

    func write(_ text: String, as name: String) throws -> String { try write([UInt8](text.utf8), as: name) }

    /// Runs a tool to its end; what it printed.
    @discardableResult
    func run(_ tool: String, _ arguments: [String]) throws -> String {
        let outputPath = try write([UInt8](), as: "output-" + UUID().uuidString)
        let output = try FileHandle(forWritingTo: URL(fileURLWithPath: outputPath))
        let process = Process()
        process.executableURL = URL(fileURLWithPath: tool)
        process.arguments = arguments
        process.standardOutput = output
        process.standardError = output
        try process.run()
        process.waitUntilExit()
        try output.close()
        let text = String(decoding: try Data(contentsOf: URL(fileURLWithPath: outputPath)), as: UTF8.self)
        guard process.terminationStatus == 0 else {
            throw ToolFailure(
                command: tool + " " + arguments.joined(separator: " "), status: process.terminationStatus, output: text)
        }
        return text
    }

    /// Machine code of an assembly text that is linked to `address`.
    func assemble(_ text: String, at address: UInt64) throws -> [UInt8] {
        let name = UUID().uuidString
        let source = try write(".text\n.globl _start\n_start:\n" + text + "\n", as: name + ".s")
        let base = path + "/" + name
        try run("/usr/bin/as", ["-o", base + ".o", source])
        try run("/usr/bin/ld", ["-Ttext=0x" + String(address, radix: 16), "-o", base, base + ".o"])
        try run("/usr/bin/objcopy", ["-O", "binary", "-j", ".text", base, base + ".bin"])
        return [UInt8](try Data(contentsOf: URL(fileURLWithPath: base + ".bin")))
    }
}

struct ToolFailure: Error {
    var command: String
    var status: Int32
    var output: String
}
