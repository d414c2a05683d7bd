//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Testing
import Unwinding

/// The rules of whole libraries, row by row against `readelf --debug-dump=frames-interp`.
@Suite("Rules against readelf")
struct ReadelfTests {
    static let columns = [
        "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
        "ra",
    ]

    /// - Parameter rows: at least as many rows the library has on Debian 12, so that a test that reads nothing fails.
    @Test(
        arguments: [
            ("/lib/x86_64-linux-gnu/libc.so.6", 20_000),
            ("/usr/lib/x86_64-linux-gnu/libcrypto.so.3", 60_000),
            ("/usr/lib/x86_64-linux-gnu/libstdc++.so.6", 25_000),
        ])
    func everyRow(path: String, leastRows: Int) throws {
        let directory = try TemporaryDirectory()
        let object = try TestObject(path: path)
        let section = try #require(object.sections[".eh_frame"])
        let header = try #require(object.sections[".eh_frame_hdr"])
        let scanned = try FrameTable(section: section.bytes, address: section.address)
        let searched = try FrameTable(
            section: section.bytes, header: try FrameHeader(header.bytes, address: header.address))
        #expect(scanned.unreadableCount == 0)
        #expect(scanned.count == searched.count)

        // It returns 1 without a word when a separate file with debug information is missing.
        let output = try run("/usr/bin/readelf", ["-wF", path], in: directory, expecting: [0, 1])
        var comparison = Comparison(scanned: scanned, searched: searched)
        for line in output.split(separator: UInt8(ascii: "\n")) { try comparison.take(line) }
        try comparison.finish()
        print("\(path): \(comparison.functions) functions, \(comparison.rows) rows compared")
        #expect(comparison.differences == [])
        #expect(comparison.rows >= leastRows)
        #expect(comparison.functions == scanned.count)
    }

    struct Comparison {
        let scanned: FrameTable
        let searched: FrameTable
        var functions = 0
        var rows = 0
        var differences: [String] = []
        private var offset = 0
        private var isFunction = false
        private var names: [Int] = []
        private var pending: (address: UInt64, fields: [Substring])?

        init(scanned: FrameTable, searched: FrameTable) {
            self.scanned = scanned
            self.searched = searched
        }

        mutating func take(_ line: ArraySlice<UInt8>) throws {
            let fields = String(decoding: line, as: UTF8.self).split(separator: " ")
            if fields.count > 3, fields[3] == "FDE" || fields[3] == "CIE" {
                try finish()
                offset = try #require(Int(fields[0], radix: 16))
                isFunction = fields[3] == "FDE"
                names = []
                if isFunction { functions += 1 }
            } else if fields.first == "LOC" {
                names = fields.dropFirst(2).compactMap { columns.firstIndex(of: String($0)) }
                #expect(names.count == fields.count - 2)
            } else if isFunction, let first = fields.first, first.count == 16, let address = UInt64(first, radix: 16) {
                // readelf prints a row per advance, also per advance by 0: the last one holds.
                if let last = pending, last.address != address { try compare(last.address, last.fields) }
                pending = (address, fields)
            }
        }

        mutating func finish() throws {
            if let last = pending { try compare(last.address, last.fields) }
            pending = nil
        }

        private mutating func compare(_ address: UInt64, _ fields: [Substring]) throws {
            rows += 1
            guard let description = try scanned.description(covering: address) else {
                differences.append("no rules at \(String(address, radix: 16))")
                return
            }
            if try searched.description(covering: address) != description || description.offset != offset {
                differences.append("other entry at \(String(address, radix: 16))")
            }
            let rules = try scanned.rules(at: address, of: description)
            var found = [text(rules.canonicalFrameAddress)]
            for name in names { found.append(text(rules[name])) }
            // Another register is printed as number and name: "r5 (rdi)".
            let expected = fields.dropFirst().filter { !$0.hasPrefix("(") }.map { $0 == "s" ? "u" : String($0) }
            if found != expected, differences.count < 10 {
                differences.append("\(String(address, radix: 16)): \(found) instead of \(expected)")
            }
        }

        private func text(_ rule: FrameRules.CanonicalFrameAddress) -> String {
            switch rule {
            case .none: "?"
            case .register(let register, let offset): columns[Int(register)] + signed(offset)
            case .expression: "exp"
            }
        }

        private func text(_ rule: FrameRules.Register) -> String {
            switch rule {
            case .unspecified, .undefined, .sameValue: "u"
            case .offset(let offset): "c" + signed(offset)
            case .valueOffset(let offset): "v" + signed(offset)
            case .register(let register): "r\(register)"
            case .expression: "exp"
            case .valueExpression: "vexp"
            }
        }

        private func signed(_ value: Int64) -> String { value < 0 ? "\(value)" : "+\(value)" }
    }
}
