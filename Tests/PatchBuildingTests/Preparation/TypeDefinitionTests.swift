//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import PatchBuilding
import Testing

/// Types of a source that a fix changes.
@Suite("Type definitions") struct TypeDefinitionTests {
    static let source = """
        #include <stddef.h>
        #define SIZE (UNIT * 2)
        #define UNIT 8 /* bytes */
        #define OTHER "struct"
        typedef int number;
        struct __attribute__((packed)) context { number a; char name[SIZE]; };
        typedef enum { IDLE, BUSY } phase;
        static struct context *get(struct context *c) { struct context d = {0}; return c + OTHER[d.a]; }
        union both { int x; struct { long y; } z; };

        """

    private func differ(_ old: String, _ new: String) throws -> Bool {
        let range = try #require(Self.source.range(of: old))
        let fixed = Self.source.replacingCharacters(in: range, with: new)
        return TypeDefinitions(Array(Self.source.utf8)).differ(from: TypeDefinitions(Array(fixed.utf8)))
    }

    @Test(
        "What an object of a type can be read with must stay",
        arguments: [
            ("number a;", "number a, b;"), ("int number", "long number"), ("IDLE, BUSY", "IDLE, LATE, BUSY"),
            ("UNIT 8", "UNIT 16"), ("__attribute__((packed))", ""), ("long y", "int y"), ("union both", "union each"),
        ])
    func changed(old: String, new: String) throws { #expect(try differ(old, new)) }

    @Test(
        "Code, comments, spaces, other macros and new types may change",
        arguments: [
            ("return c +", "return c -"), ("/* bytes */", "// octets"), ("{ number a; ", "{\n#line 6\nnumber a;\n "),
            ("\"struct\"", "\"struct {\""), ("union both", "struct more { int a; };\nunion both"),
            ("d = {0}", "d = {1}"),
        ])
    func unchanged(old: String, new: String) throws { #expect(try !differ(old, new)) }
}
