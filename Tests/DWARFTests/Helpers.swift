//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import DWARF
import ELF
import Foundation

struct Complaint: Error, CustomStringConvertible {
    var description: String
}

/// Runs a program and gives what it wrote to its output.
@discardableResult
func run(_ program: String, _ arguments: [String], in directory: String = "/") throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [program] + arguments
    process.currentDirectoryURL = URL(fileURLWithPath: directory)
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
    guard process.terminationStatus == 0 else {
        throw Complaint(
            description: "\(program) \(arguments): " + String(decoding: try Data(contentsOf: errors), as: UTF8.self))
    }
    return text
}

/// A directory for the time of a call.
func withDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("moult-dwarf-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    return try body(directory.path)
}

/// The bytes of a file.
func contents(_ path: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
}

/// Compiles a text and gives the object's path.
func compile(
    _ text: String, _ name: String = "example.c", flags: [String] = ["-gdwarf-5"], in directory: String
) throws -> String {
    try Data(text.utf8).write(to: URL(fileURLWithPath: "\(directory)/\(name)"))
    let output = "\(directory)/\(name)-\(UUID().uuidString).o"
    try run("gcc", ["-O1", "-w"] + flags + ["-c", name, "-o", output], in: directory)
    return output
}

/// The debug information of a text.
func information(
    _ text: String, _ name: String = "example.c", flags: [String] = ["-gdwarf-5"]
) throws -> DebugInformation {
    try withDirectory { directory in
        try DebugInformation(ELFFile(try contents(try compile(text, name, flags: flags, in: directory))))
    }
}

extension DebugInformation {
    /// The definitions of a kind and name.
    func definitions(_ kind: DebugType.Kind, _ name: String) throws -> [DebugType] {
        // What only stands for the type of a type unit is left out.
        try namedTypes.filter { try type($0).id == $0 }.map { try type($0) }.filter {
            try $0.kind == kind && !$0.isDeclaration && self.name(of: $0.id) == name
        }
    }

    /// The one structure of a name, as text: `size: member@bit(:bits) type; ...`.
    func layout(_ name: String, kind: DebugType.Kind = .structure) throws -> String {
        let all = try definitions(kind, name)
        guard all.count == 1, let type = all.first else {
            throw Complaint(description: "\(all.count) definitions of \(name)")
        }
        let members = try members(of: type.id).map { member in
            let place = member.bitOffset.map { "\($0)" } ?? "?"
            let bits = member.bitSize.map { ":\($0)" } ?? ""
            return "\(member.name ?? "-")@\(place)\(bits) \(try spelling(of: member.type))"
        }
        return "\(type.byteSize.map(String.init) ?? "?"): " + members.joined(separator: "; ")
    }
}
