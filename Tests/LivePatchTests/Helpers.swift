//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import Foundation
import LivePatch

/// Writes with a digest, as the builder does.
func write(_ patch: Patch) throws -> [UInt8] {
    try PatchWriter.write(patch) { SHA256.digest(of: $0).bytes }
}

/// Reads without looking at the digest.
func read(_ bytes: [UInt8]) throws(PatchFormatError) -> Patch {
    try PatchReader.read(bytes.span.bytes)
}

/// The file with the digest that its other bytes have.
func redigested(_ file: [UInt8]) -> [UInt8] {
    let covered = Array(file.dropLast(32))
    return covered + SHA256.digest(of: covered.span.bytes).bytes
}

/// Runs a program: what it wrote to both outputs, and its exit status.
func run(_ path: String, _ arguments: [String]) throws -> (output: String, errors: String, status: Int32) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    process.environment = ["LC_ALL": "C", "PATH": "/usr/bin:/bin"]
    let errors = FileManager.default.temporaryDirectory.appendingPathComponent("moult-errors-\(UUID().uuidString)")
    _ = FileManager.default.createFile(atPath: errors.path, contents: nil)
    defer { try? FileManager.default.removeItem(at: errors) }
    let output = Pipe()
    process.standardOutput = output
    process.standardError = try FileHandle(forWritingTo: errors)
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    let complaints = String(decoding: try Data(contentsOf: errors), as: UTF8.self)
    return (text, complaints, process.terminationStatus)
}

/// Puts bytes into a file for the time of a call.
func withFile<Result>(_ bytes: [UInt8], _ body: (String) throws -> Result) throws -> Result {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("moult-\(UUID().uuidString).o")
    try Data(bytes).write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    return try body(file.path)
}
