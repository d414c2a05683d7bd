//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import DWARF
import ELF
import Foundation
import Testing

/// Sizes of structures and places of their members, held against what pahole makes of them.
@Suite("Layouts as pahole sees them")
struct PaholeTests {
    /// Structures by name, each as `size: member@byte ...`.
    private static func printed(_ path: String) throws -> [String: String] {
        var result: [String: String] = [:]
        var name: String?
        var members: [String] = []
        for line in try run("pahole", ["--show_private_classes", path]).split(separator: "\n")
        where !line.hasPrefix("\t\t") {
            if let match = line.firstMatch(of: /^struct (\w+) \{$/) {
                (name, members) = (String(match.1), [])
            } else if let match = line.firstMatch(of: /^\t\/\* size: (\d+),/), let current = name {
                result[current] = "\(match.1): " + members.joined(separator: " ")
            } else if line.hasPrefix("}") {
                name = nil
            } else if name != nil, line.hasPrefix("\t"), !line.hasPrefix("\t\t"),
                let match = line.firstMatch(of: /^\t(.*);? *\/\* +(\d+)(?:: ?(\d+))? +\d+ \*\/$/)
            {
                members.append("\(Self.member(String(match.1)))@\(match.2)\(match.3.map { ":\($0)" } ?? "")")
            }
        }
        return result
    }

    /// The name that a declaration declares; `-` where it declares none.
    private static func member(_ declaration: String) -> String {
        var text = declaration.prefix { $0 != ";" }
        if let match = text.firstMatch(of: /\((?:\*+(?: ?const)? ?|\* \* ?)(\w+)(?:\[\d*\])*\)\(/) {
            return String(match.1)
        }
        if let attribute = text.range(of: " __attribute__") { text = text[..<attribute.lowerBound] }
        text = text.prefix { $0 != "[" && $0 != ":" }
        guard let match = text.firstMatch(of: /(\w+) *$/), text.trimmingCharacters(in: .whitespaces) != "}" else {
            return "-"
        }
        return String(match.1)
    }

    private static func found(_ information: DebugInformation) throws -> [String: String] {
        var result: [String: String] = [:]
        for id in information.namedTypes {
            let type = try information.type(id)
            guard type.kind == .structure, !type.isDeclaration, let name = try information.name(of: id),
                name.wholeMatch(of: /\w+/) != nil
            else { continue }
            let members = try information.members(of: id).map { member in
                guard let offset = member.bitOffset else { return "\(member.name ?? "-")@?" }
                guard member.bitSize != nil, let type = member.type, let unit = try information.sizeInBytes(of: type),
                    unit > 0
                else { return "\(member.name ?? "-")@\(offset / 8)" }
                // pahole tells a bit-field's place in the storage unit of its type.
                let bits = unit * 8
                return "\(member.name ?? "-")@\(offset / bits * unit):\(offset % bits)"
            }
            result[name] = "\(type.byteSize ?? 0): " + members.joined(separator: " ")
        }
        return result
    }

    @Test("Every structure of the C library, the kernel and OpenSSL")
    func headers() throws {
        try withDirectory { directory in
            let source = ReadelfTests.headers.map { "#include <\($0)>\n" }.joined()
            let path = try compile(
                source, flags: ["-gdwarf-5", "-fno-eliminate-unused-debug-types"], in: directory)
            let printed = try Self.printed(path)
            let found = try Self.found(DebugInformation(ELFFile(try contents(path))))
            var compared = 0
            for (name, text) in printed.sorted(by: { $0.key < $1.key }) {
                guard let own = found[name] else {
                    Issue.record("struct \(name) was not found")
                    continue
                }
                #expect(own == text, "struct \(name)")
                compared += 1
            }
            #expect(compared > 500)
        }
    }
}
