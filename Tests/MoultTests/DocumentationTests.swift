//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Commands
import Foundation
import Testing

/// Documentation/command-line.md is compared with the sources: a reason, a state or an option that is on one
/// side only fails.
@Suite("Documentation of the command line")
struct DocumentationTests {
    private let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
    private let sections: [String: [[String]]]

    /// Reads the tables: rows by the title of the section of the second level that they stand in.
    init() throws {
        let text = try String(
            contentsOf: root.appending(path: "Documentation/command-line.md"), encoding: .utf8)
        var sections: [String: [[String]]] = [:]
        var title = ""
        for line in text.split(separator: "\n") {
            if line.hasPrefix("## ") { title = String(line.dropFirst(3)) }
            guard line.hasPrefix("| "), !line.hasPrefix("| ---") else { continue }
            let cells = line.replacing("\\|", with: "/").split(separator: "|", omittingEmptySubsequences: false)
                .dropFirst().dropLast().map { $0.trimmingCharacters(in: .whitespaces) }
            sections[title, default: []].append(cells)
        }
        self.sections = sections
    }

    /// What stands in backticks in the first column of a section's tables.
    private func names(_ section: String) throws -> Set<String> {
        let rows = try #require(sections[section])
        let cells = rows.compactMap { $0.first }
        return Set(cells.flatMap { $0.matches(of: /`([^`]+)`/).map { String($0.1) } })
    }

    /// The raw values of the first enumeration with this name in a source file.
    private func rawValues(_ file: String, _ name: String) throws -> Set<String> {
        let text = try String(contentsOf: root.appending(path: "Sources/\(file)"), encoding: .utf8)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let start = try #require(lines.firstIndex { $0.contains("enum \(name): String") })
        let indentation = lines[start].prefix { $0 == " " }
        var values: Set<String> = []
        for line in lines[(start + 1)...] {
            if line == indentation + "}" { break }
            guard let match = line.firstMatch(of: /^ *case `?(\w+)`?(?: = "([^"]+)")?$/) else { continue }
            values.insert(String(match.2 ?? match.1))
        }
        #expect(!values.isEmpty, "no cases found in \(file)")
        return values
    }

    @Test("every reason in the code is in the tables, and no other")
    func reasons() throws {
        var inCode: Set<String> = []
        for (file, name) in [
            ("PatchPlan/Refusal.swift", "Reason"), ("PatchPlan/Verification.swift", "Kind"),
            ("LivePatch/PatchFormatError.swift", "Code"), ("Approval/ApprovalError.swift", "Code"),
            ("PatchBuilding/Judging/Reason.swift", "Code"), ("PatchBuilding/PreparationError.swift", "Code"),
            ("PatchBuilding/PatchBuildingError.swift", "Code"),
        ] {
            inCode.formUnion(try rawValues(file, name))
        }
        // Reasons that are written where they are given.
        let sources = root.appending(path: "Sources")
        let files = try #require(FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil))
        for case let file as URL in files where file.pathExtension == "swift" {
            let text = try String(contentsOf: file, encoding: .utf8)
            for match in text.matches(of: /reason(?:: |"] = )"([a-z]+(?:-[a-z]+)*)"/) { inCode.insert(String(match.1)) }
        }
        let inTable = try names("Reasons")
        #expect(inCode.subtracting(inTable).sorted() == [])
        #expect(inTable.subtracting(inCode).sorted() == [])
    }

    @Test("every reason has a meaning and a remedy")
    func remedies() throws {
        for row in try #require(sections["Reasons"]) {
            #expect(row.count == 3)
            #expect(row.allSatisfy { !$0.isEmpty }, "\(row)")
        }
    }

    @Test("every state is in the table, and no other")
    func states() throws {
        #expect(try names("States") == rawValues("PatchPlan/TransactionState.swift", "TransactionState"))
    }

    @Test("every exit code is in the table, and no other")
    func exitCodes() throws {
        let text = try String(contentsOf: root.appending(path: "Sources/Commands/ExitCode.swift"), encoding: .utf8)
        let inCode = text.matches(of: /ExitCode\(rawValue: (\d+)\)/).compactMap { Int($0.1) }
        let inTable = try #require(sections["Exit codes"]).compactMap { $0.first.flatMap { Int($0) } }
        #expect(inTable == inCode.sorted())
    }

    @Test("every option of a command's help is in the table with that command, and no other")
    func options() throws {
        for command in ["build", "inspect", "targets", "status", "apply", "verify", "undo"] {
            let help = try CommandRun(CommandRun.built("moult"), ["help", command]).output
            let inHelp = Set(help.matches(of: /(?m)^  (--[a-z-]+)/).map { String($0.1) })
                .subtracting(["--version"])
            let inTable = try #require(sections["Options"]).filter { row in
                row[1] == "all" || row[1].split(separator: ", ").contains { $0 == command }
            }.compactMap { $0[0].firstMatch(of: /--[a-z-]+/).map { String($0.0) } }
            #expect(inHelp == Set(inTable), "\(command)")
        }
    }

    @Test("every schema that is written is in the table")
    func schemas() throws {
        let inTable = try names("JSON")
        var inCode: Set<String> = []
        for directory in [
            "Commands", "ProcessObservation", "BuildReporting", "moult-build", "moult-observer", "moult-applier",
        ] {
            let folder = root.appending(path: "Sources/\(directory)")
            for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
                let text = try String(contentsOf: folder.appending(path: name), encoding: .utf8)
                for match in text.matches(of: /"schema": (?:\.string\()?"([^"]+)"/) {
                    // The applier puts the command's name into it.
                    let commands = match.1.contains("\\(command)") ? ["apply", "undo", "verify"] : [""]
                    for command in commands { inCode.insert(String(match.1.replacing("\\(command)", with: command))) }
                }
            }
        }
        #expect(inCode == inTable)
    }
}
