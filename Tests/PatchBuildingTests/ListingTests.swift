//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Testing

@testable import PatchBuilding

/// Functions side by side, from objects that the compiler makes.
@Suite("Disassembly side by side")
struct ListingTests {
    private static let source = """
        #include <string.h>
        extern int limit;
        int keep(int a) { return a * 3; }
        int check(const char *text, int a) {
            int sum = 0;
            for (int i = 0; i < a; i++) sum += text[i];
            if (sum > LIMIT) return -1;
            return strlen(text) + sum EXTRA;
        }
        """

    private func object(_ definitions: [String]) async throws -> [UInt8] {
        let scratch = try Files.makeTemporary(in: "/tmp", "listing")
        try Files.write(Self.source, to: scratch + "/a.c")
        try await Command(
            "gcc", ["-O2", "-fPIC", "-ffunction-sections", "-fdata-sections", "-c", "a.c"] + definitions, in: scratch
        ).succeed(or: .buildFailed, "compiling")
        let bytes = try Files.read(scratch + "/a.o")
        try Files.remove(scratch)
        return bytes
    }

    private func listings(_ pre: [String], _ post: [String]) async throws -> [FunctionListing] {
        let before = try await object(pre)
        let after = try await object(post)
        return try await FunctionListing.listings(
            of: [RebuiltObject(name: "a.o", prePlain: before, pre: before, post: after)],
            cache: Cache(directory: "/tmp/moult-listing-test"))
    }

    @Test("Only the changed function is shown, and of it what changed with some lines around")
    func changed() async throws {
        let listings = try await listings(["-DLIMIT=100", "-DEXTRA="], ["-DLIMIT=200", "-DEXTRA="])
        #expect(listings.map(\.name) == ["check"])
        let rows = try #require(listings.first).rows
        let changes = rows.compactMap { row -> String? in
            guard case .changed(let before, let after) = row else { return nil }
            return "\(before?.text ?? "") | \(after?.text ?? "")"
        }
        #expect(changes.count == 1, "\(rows)")
        #expect(changes.first?.contains("$0x64") == true && changes.first?.contains("$0xc8") == true, "\(changes)")
    }

    @Test("Code that moved is not code that changed; symbols stand in the text")
    func moved() async throws {
        let listings = try await listings(
            ["-DLIMIT=100", "-DEXTRA="], ["-DLIMIT=100", "-DEXTRA=+ limit * 5 + keep(a)"])
        let rows = try #require(listings.first).rows
        var texts: [String] = []
        var same = 0
        for row in rows {
            switch row {
            case .same(let before, let after):
                texts += [before.text, after.text]
                same += 1
            case .changed(let before, let after): texts += [before?.text, after?.text].compactMap(\.self)
            case .skipped(let count): same += count
            }
        }
        #expect(texts.contains { $0.contains("limit(%rip)") }, "\(texts)")
        #expect(same > 5, "\(rows)")
    }

    @Test("No instruction is lost: rows and what is left out are the whole function")
    func whole() async throws {
        let before = try await object(["-DLIMIT=100", "-DEXTRA="])
        let after = try await object(["-DLIMIT=100", "-DEXTRA=+ limit * 5"])
        let disassembler = Disassembler(scratch: "/tmp")
        let old = try await disassembler.instructions(ofSections: [".text.check"], in: before)[".text.check"] ?? []
        let new = try await disassembler.instructions(ofSections: [".text.check"], in: after)[".text.check"] ?? []
        #expect(old.count > 10 && new.count > old.count)
        let rows = FunctionListing(name: "check", object: "a.o", before: old, after: new, context: 2).rows
        var counts = (before: 0, after: 0)
        var last = (before: -1, after: -1)
        for row in rows {
            var (left, right): (ListedInstruction?, ListedInstruction?)
            switch row {
            case .same(let before, let after): (left, right) = (before, after)
            case .changed(let before, let after): (left, right) = (before, after)
            case .skipped(let count):
                counts = (counts.before + count, counts.after + count)
                continue
            }
            if let left {
                counts.before += 1
                #expect(left.offset > last.before)
                last.before = left.offset
            }
            if let right {
                counts.after += 1
                #expect(right.offset > last.after)
                last.after = right.offset
            }
        }
        #expect(counts == (old.count, new.count))
    }
}
