//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF
import Foundation

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
    return (text, String(decoding: try Data(contentsOf: errors), as: UTF8.self), process.terminationStatus)
}

/// A directory for the time of a call.
func withDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("moult-elf-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    return try body(directory.path)
}

/// The bytes of a file.
func contents(_ path: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
}

/// The lines that `readelf -W` prints, split at white space.
func readelf(_ option: String, _ path: String) throws -> [[String]] {
    let (output, _, status) = try run("/usr/bin/readelf", ["-W", option, path])
    guard status == 0 else { throw Complaint(text: "readelf \(option) \(path) failed") }
    return output.split(separator: "\n").map { $0.split(whereSeparator: \.isWhitespace).map(String.init) }
}

struct Complaint: Error {
    var text: String
}

func hex(_ value: some BinaryInteger, digits: Int) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
}

/// A source that uses many kinds of sections, symbols and relocations.
let exampleSource = """
    #include <errno.h>
    #include <stdio.h>
    static __thread int counter;
    __thread int shared_counter = 3;
    int common_block[16];
    const char *const names[] = {"one", "two"};
    __attribute__((weak)) int weak_one(void) { return 1; }
    static int hidden_helper(int x) { return x * 3 + errno; }
    __attribute__((noinline)) int work(int x) { counter += x; shared_counter--; return hidden_helper(x) + common_block[x & 15]; }
    void *resolver(void) { return (void *)work; }
    int indirect(int) __attribute__((ifunc("resolver")));
    __attribute__((constructor)) static void start(void) { puts(names[0]); }
    __attribute__((visibility("hidden"))) int inside(int x) { return indirect(x) + weak_one(); }
    """

/// Compiles the example and gives the path of what gcc made.
func compile(in directory: String, _ arguments: [String], to name: String) throws -> String {
    let source = directory + "/example.c"
    try Data(exampleSource.utf8).write(to: URL(fileURLWithPath: source))
    let output = directory + "/" + name
    let (_, errors, status) = try run("/usr/bin/gcc", arguments + ["-fcommon", "-O1", source, "-o", output])
    guard status == 0 else { throw Complaint(text: errors) }
    return output
}
