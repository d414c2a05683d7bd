//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import PatchBuilding
import Testing

/// Which lines belong to which function, told without a compiler.
@Suite("Function outlines") struct FunctionOutlineTests {
    private func outline(_ text: String) -> [String: ClosedRange<Int>] {
        Dictionary(
            FunctionOutline(Array(text.utf8)).functions.map { ($0.name, $0.lines) }, uniquingKeysWith: { $1 })
    }

    @Test("A function takes the lines from its first word to its brace") func plain() {
        let text = """
            /* int comment(void) { */
            static const char *first(int a,
                                     int b)
            {
                if (a) { return "}"; }
                return '}' == b ? "{" : 0;
            }
            int second(void) { return 1; } int third(void) { return 2; }
            """
        #expect(outline(text) == ["first": 1...6, "second": 7...7, "third": 7...7])
    }

    @Test("Tables, types, declarations and macros are no functions") func others() {
        let text = """
            struct own { int (*call)(int); };
            static const struct own table[] = { { first }, { SECOND(1) } };
            int declared(int a);
            enum { A = (1), B };
            #define NOT(x) int x(void) { \\
                return 1; }
            DECLARE_SOMETHING(a, b);
            typedef int (*pointer)(int);
            """
        #expect(outline(text).isEmpty)
    }

    @Test("Attributes, macros in the type, and pointers to functions do not hide the name") func declarators() {
        let text = """
            IMPLEMENT_SOMETHING(X, Y)
            static STACK_OF(X509) *stack(int a)
            {
            }
            __attribute__((noinline)) int attributed(int a) __attribute__((cold));
            __attribute__((noinline)) int attributed(int a)
            {
            }
            void (*handler(int number, void (*call)(int)))(int)
            {
            }
            extern "C" {
            int linked(void)
            {
            }
            }
            """
        #expect(outline(text) == ["stack": 1...3, "attributed": 5...7, "handler": 8...10, "linked": 12...14])
    }

    @Test("Braces that stand in several groups of the preprocessor are counted once") func conditional() {
        let text = """
            #ifdef A
            int one(int a) {
            #else
            int one(void) {
            #endif
                return 1;
            }
            int two(void)
            {
            #if 1
                if (x) {
            #elif 2
                if (y) {
            #endif
                }
            }
            int three(void) { }
            """
        #expect(outline(text) == ["one": 1...6, "two": 7...15, "three": 16...16])
    }

    @Test("An insertion lies in a function if both lines around it do") func insertions() {
        let outline = FunctionOutline(Array("int a;\nint f(void)\n{\n}\nint b;\n".utf8))
        #expect(outline.names(in: 1..<1).isEmpty)
        #expect(outline.names(in: 2..<2) == ["f"])
        #expect(outline.names(in: 3..<3) == ["f"])
        #expect(outline.names(in: 4..<4).isEmpty)
        #expect(outline.names(in: 0..<2) == ["f"])
        #expect(outline.names(in: 4..<5).isEmpty)
    }
}
