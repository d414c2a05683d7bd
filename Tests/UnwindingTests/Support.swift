//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation

/// A directory of its own that is gone when the test is.
final class TemporaryDirectory {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "unwinding-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ text: String, as name: String) throws -> String {
        let file = path + "/" + name
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        return file
    }
}

struct ToolFailure: Error {
    var command: String
    var status: Int32
    var output: String
}

/// Runs a tool to its end; its standard output, or the failure.
@discardableResult
func run(
    _ tool: String, _ arguments: [String], in directory: TemporaryDirectory, expecting statuses: [Int32] = [0]
) throws -> [UInt8] {
    let outputPath = directory.path + "/output-" + UUID().uuidString
    _ = FileManager.default.createFile(atPath: outputPath, contents: nil)
    let output = try FileHandle(forWritingTo: URL(fileURLWithPath: outputPath))
    let process = Process()
    process.executableURL = URL(fileURLWithPath: tool)
    process.arguments = arguments
    process.standardOutput = output
    process.standardError = output
    var environment = ProcessInfo.processInfo.environment
    environment["LC_ALL"] = "C"
    process.environment = environment
    try process.run()
    process.waitUntilExit()
    try output.close()
    let bytes = try readFile(outputPath)
    guard statuses.contains(process.terminationStatus) else {
        throw ToolFailure(
            command: tool + " " + arguments.joined(separator: " "), status: process.terminationStatus,
            output: String(decoding: bytes.prefix(4000), as: UTF8.self))
    }
    return bytes
}

func readFile(_ path: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
}

/// As much of an ELF file as these tests need (the room ELF is tested elsewhere).
struct TestObject {
    var bytes: [UInt8]
    var sections: [String: (address: UInt64, bytes: [UInt8])] = [:]

    init(path: String) throws {
        bytes = try readFile(path)
        let table = Int(number(0x28, 8))
        let count = Int(number(0x3C, 2))
        let names = Int(number(table + 64 * Int(number(0x3E, 2)) + 24, 8))
        for index in 0..<count {
            let header = table + 64 * index
            let start = names + Int(number(header, 4))
            let name = String(decoding: bytes[start...].prefix { $0 != 0 }, as: UTF8.self)
            let isWithoutBytes = number(header + 4, 4) == 8
            let offset = Int(number(header + 24, 8))
            let size = isWithoutBytes ? 0 : Int(number(header + 32, 8))
            sections[name] = (number(header + 16, 8), [UInt8](bytes[offset..<(offset + size)]))
        }
    }

    func number(_ offset: Int, _ count: Int) -> UInt64 {
        (0..<count).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
    }
}

/// A generator that gives the same numbers in every run (splitmix64).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
