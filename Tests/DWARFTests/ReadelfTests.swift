//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import DWARF
import ELF
import Foundation
import Testing

/// Every type of large real headers, held against what readelf prints of the same bytes.
@Suite("Types as readelf sees them")
struct ReadelfTests {
    /// An entry as readelf prints it.
    private struct Printed {
        var tag: String
        var depth: Int
        var offset: Int
        var attributes: [String: String] = [:]

        /// A number, in whatever base it was printed.
        func number(_ name: String) -> Int64? {
            guard let text = attributes[name] else { return nil }
            let word = String(text.prefix { $0 != "\t" && $0 != " " })
            return word.hasPrefix("0x")
                ? UInt64(word.dropFirst(2), radix: 16).map { Int64(bitPattern: $0) } : Int64(word)
        }

        /// The offset of another entry.
        func reference(_ name: String) -> String {
            guard let text = attributes[name], text.hasPrefix("<0x") else { return "void" }
            return String(text.dropFirst(3).prefix { $0 != ">" })
        }

        /// A string, without how it is stored.
        var name: String {
            guard let text = attributes["DW_AT_name"] else { return "-" }
            guard text.hasPrefix("(indirect"), let end = text.range(of: "): ") else { return text }
            return String(text[end.upperBound...])
        }
    }

    private static func printed(_ path: String) throws -> [Printed] {
        var result: [Printed] = []
        // Bytes and no patterns: there are hundreds of thousands of lines.
        let space = UInt8(ascii: " ")
        for line in Array(try run("readelf", ["--debug-dump=info", path]).utf8).split(separator: UInt8(ascii: "\n")) {
            let words = line.split(separator: space, maxSplits: 3)
            guard words.count > 1, words[0].first == UInt8(ascii: "<") else { continue }
            let second = String(decoding: words[1], as: UTF8.self)
            if second == "Abbrev" {
                // `<1><84>: Abbrev Number: 14 (DW_TAG_structure_type)`; the end of a level has no tag.
                let numbers = words[0].split { $0 == UInt8(ascii: "<") || $0 == UInt8(ascii: ">") }
                let rest = String(decoding: words[words.count - 1], as: UTF8.self)
                guard let tag = rest.split(separator: "(DW_TAG_").last, rest.hasSuffix(")"), numbers.count > 1 else {
                    continue
                }
                result.append(
                    Printed(
                        tag: String(tag.dropLast()),
                        depth: Int(String(decoding: numbers[0], as: UTF8.self), radix: 16) ?? 0,
                        offset: Int(String(decoding: numbers[1], as: UTF8.self), radix: 16) ?? 0))
            } else if !result.isEmpty, let colon = line.firstIndex(of: UInt8(ascii: ":")) {
                let name = second.hasSuffix(":") ? String(second.dropLast()) : second
                let value = String(decoding: line[(colon + 1)...].drop { $0 == space }, as: UTF8.self)
                result[result.count - 1].attributes[name] = value
            }
        }
        return result
    }

    private static let kinds: [String: DebugType.Kind] = [
        "structure_type": .structure, "class_type": .class, "union_type": .union, "enumeration_type": .enumeration,
        "typedef": .typedef,
    ]

    /// One line for each type and its parts, from what readelf prints.
    private static func expected(_ entries: [Printed]) -> [String] {
        var result: [String] = []
        for (index, entry) in entries.enumerated() {
            guard let kind = kinds[entry.tag] else { continue }
            var line = "\(entry.offset) \(kind) size \(entry.number("DW_AT_byte_size") ?? -1)"
            line += " alignment \(entry.number("DW_AT_alignment") ?? -1) of \(entry.reference("DW_AT_type"))"
            if entry.attributes["DW_AT_declaration"] != nil { line += " declared" }
            for child in entries[(index + 1)...].prefix(while: { $0.depth > entry.depth })
            where child.depth == entry.depth + 1 {
                switch child.tag {
                case "enumerator": line += "; \(child.name) = \(child.number("DW_AT_const_value") ?? 0)"
                case "member", "inheritance":
                    if child.attributes["DW_AT_declaration"] != nil || child.attributes["DW_AT_external"] != nil {
                        continue
                    }
                    line += "; \(child.tag == "member" ? child.name : "base") \(place(of: child))"
                    line += " of \(child.reference("DW_AT_type"))"
                default: break
                }
            }
            result.append(line)
        }
        return result
    }

    private static func place(of member: Printed) -> String {
        let size = member.number("DW_AT_bit_size")
        if let bits = member.number("DW_AT_data_bit_offset") { return "\(bits):\(size ?? -1)" }
        let location = member.attributes["DW_AT_data_member_location"] ?? "0"
        // An expression that is computed at run time.
        if location.contains("block") { return "?:\(size ?? -1)" }
        var bits = (member.number("DW_AT_data_member_location") ?? 0) * 8
        if let fromHighEnd = member.number("DW_AT_bit_offset"), let size {
            bits += (member.number("DW_AT_byte_size") ?? 0) * 8 - fromHighEnd - size
        }
        return "\(bits):\(size ?? -1)"
    }

    /// The same from what is tested.
    private static func found(_ information: DebugInformation) throws -> [String] {
        func reference(_ id: EntryID?) -> String {
            id.map { String(information.offset(of: $0), radix: 16) } ?? "void"
        }
        return try information.namedTypes.map { id in
            let type = try information.type(id)
            var line = "\(information.offset(of: id)) \(type.kind) size \(type.byteSize.map { Int($0) } ?? -1)"
            line += " alignment \(type.alignment.map { Int($0) } ?? -1) of \(reference(type.target))"
            if type.isDeclaration { line += " declared" }
            for enumerator in try information.enumerators(of: id) {
                line += "; \(enumerator.name) = \(enumerator.value)"
            }
            for member in try information.members(of: id) {
                let place = member.bitOffset.map { "\($0)" } ?? "?"
                line += "; \(member.isBaseClass ? "base" : member.name ?? "-") "
                line += "\(place):\(member.bitSize.map { Int($0) } ?? -1) of \(reference(member.type))"
            }
            return line
        }
    }

    private func compare(_ path: String, atLeast count: Int) throws {
        let information = try DebugInformation(ELFFile(try contents(path)))
        let found = try Self.found(information)
        let expected = Self.expected(try Self.printed(path))
        #expect(expected.count > count)
        #expect(found.count == expected.count)
        for (first, second) in zip(found, expected) where first != second {
            Issue.record("here    \(first)\nreadelf \(second)")
            return
        }
        #expect(found.contains { $0.contains("declared") })
    }

    /// Headers of the C library, the kernel and OpenSSL.
    static let headers =
        [
            "stdio.h", "stdlib.h", "time.h", "math.h", "pthread.h", "signal.h", "ucontext.h", "sys/stat.h",
            "sys/socket.h",
            "netinet/in.h", "netinet/tcp.h", "netdb.h", "dirent.h", "linux/perf_event.h", "linux/io_uring.h",
            "linux/fuse.h", "linux/videodev2.h", "linux/bpf.h", "linux/ethtool.h", "linux/nl80211.h", "linux/kvm.h",
        ]
        + ["ssl", "x509v3", "cms", "ts", "ct", "evp", "ocsp", "pkcs12", "cmp", "crmf", "ess", "core_dispatch"].map {
            "openssl/\($0).h"
        }

    static let everything =
        headers.map { "#include <\($0)>\n" }.joined() + """
            struct packed_bits { char a; int b : 31; long c : 40; unsigned d : 7; } __attribute__((packed));
            struct { int only; struct packed_bits inner[3]; } unnamed;
            int use(SSL *s, struct packed_bits *p) { return p->b + unnamed.only; }
            """

    @Test("C headers, in both versions", arguments: ["-gdwarf-4", "-gdwarf-5"])
    func c(_ version: String) throws {
        try withDirectory { directory in
            try compare(
                try compile(
                    Self.everything, flags: [version, "-fno-eliminate-unused-debug-types"], in: directory),
                atLeast: 2500)
        }
    }

    static let cxx = """
        #include <map>
        #include <string>
        #include <memory>
        #include <vector>
        namespace outer { namespace { struct hidden { long a; }; } class base { public: virtual ~base(); virtual int f(int); int b; };
        class other { virtual void g(); }; struct derived : public base, protected virtual other { static int shared; int f(int) override; hidden h; int bits : 5; }; }
        enum class small : unsigned char { one = 1, last = 255 };
        std::map<std::string, std::vector<outer::derived *>> all;
        std::shared_ptr<outer::base> shared;
        small pick(int n) { all["a"].push_back(nullptr); return n ? small::one : small::last; }
        int outer::derived::f(int n) { struct local { int x; } l{n}; return l.x + bits; }
        """

    @Test("C++ with templates, in both versions", arguments: ["-gdwarf-4", "-gdwarf-5"])
    func cxx(_ version: String) throws {
        try withDirectory { directory in
            try compare(try compile(Self.cxx, "example.cc", flags: [version], in: directory), atLeast: 350)
        }
    }

    @Test("A linked file of several units in both languages and both versions")
    func linked() throws {
        try withDirectory { directory in
            let flags = ["-fno-eliminate-unused-debug-types"]
            let objects = [
                try compile(Self.everything, flags: flags + ["-gdwarf-5", "-fPIC"], in: directory),
                try compile(
                    "#include <stdio.h>\nint other(FILE *f) { return fileno(f); }", flags: ["-gdwarf-4", "-fPIC"],
                    in: directory),
                try compile(Self.cxx, "example.cc", flags: ["-gdwarf-5", "-fPIC"], in: directory),
            ]
            let library = directory + "/all.so"
            try run("g++", ["-shared", "-o", library] + objects)
            try compare(library, atLeast: 3000)
        }
    }
}
