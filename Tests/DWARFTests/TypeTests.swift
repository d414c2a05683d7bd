//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import DWARF
import ELF
import Testing

@Suite("Types, their names and their use")
struct TypeTests {
    static let source = """
        typedef unsigned long word;
        typedef struct { int x; } unnamed;
        struct node { struct node *next; word key; union { int a; float b; }; struct { char c[3]; } inner, *more; };
        enum { FIRST, SECOND = -7 };
        enum colour { RED, GREEN = 5 };
        struct callbacks {
            int (*plain)(const struct node *, ...);
            void (*const list[2])(void);
            word (*(*deep)(int))[4];
            volatile struct node *restrict_me;
        };
        struct fields { unsigned a : 3, b : 9; unsigned : 0; signed char c : 2; _Bool d : 1; long long e : 40; };
        struct aligned { char a; char b __attribute__((aligned(32))); };
        static struct { int held; } state;
        struct callbacks table;
        static __thread struct node perThread;
        struct only_cast { long a, b, c; };
        struct only_sized { char a[77]; };
        static inline int helper(struct node *n) { struct fields f = {0}; static struct aligned kept; return n->key + f.a + kept.b++; }
        int user(struct node *n, void *p) { unnamed *u = p; { enum colour c = *(int *)p; if (c) state.held++; } perThread.key++; return helper(n) + u->x; }
        int caster(void *p) { return ((struct only_cast *)p)->b + sizeof(struct only_sized); }
        """

    private func own(_ version: String = "-gdwarf-5") throws -> DebugInformation {
        try information(Self.source, flags: [version, "-fno-eliminate-unused-debug-types"])
    }

    @Test("Structures with unions, arrays, functions and bit-fields", arguments: ["-gdwarf-4", "-gdwarf-5"])
    func layouts(_ version: String) throws {
        let own = try own(version)
        let node = try own.layout("node")
        #expect(
            node == "32: next@0 struct node *; key@64 word; -@128 union node.(1); inner@160 struct node.inner; "
                + "more@192 struct node.inner *")
        let callbacks = try own.layout("callbacks")
        #expect(
            callbacks
                == "40: plain@0 int (*)(const struct node *, ...); list@64 void (* const[2])(); "
                + "deep@192 word (*(*)(int))[4]; restrict_me@256 volatile struct node *")
        #expect(
            try own.layout("fields")
                == "16: a@0:3 unsigned int; b@3:9 unsigned int; c@32:2 signed char; d@34:1 _Bool; e@64:40 long long int"
        )
        #expect(try own.layout("aligned") == "64: a@0 char; b@256 char")
        #expect(try own.layout("unnamed") == "4: x@0 int")
        #expect(try own.layout("node.(1)", kind: .union) == "4: a@0 int; b@0 float")
        #expect(try own.layout("state") == "4: held@0 int")
    }

    @Test("Enumerators with their values")
    func enumerators() throws {
        let own = try own()
        let colour = try #require(try own.definitions(.enumeration, "colour").first)
        #expect(
            try own.enumerators(of: colour.id).map { "\($0.name) \($0.value)" } == ["RED 0", "GREEN 5"])
        let unnamed = try own.namedTypes.filter {
            try own.type($0).kind == .enumeration && own.name(of: $0) == nil
        }
        #expect(unnamed.count == 1)
        #expect(
            try own.enumerators(of: try #require(unnamed.first)).map(\.value) == [0, -7])
    }

    @Test("Variables that live as long as the program, and no other")
    func variables() throws {
        let own = try own()
        let variables = try own.staticVariables().map { "\($0.name): \(try own.spelling(of: $0.type))" }
        #expect(
            variables.sorted() == [
                "helper::kept: struct aligned", "perThread: struct node", "state: struct state",
                "table: struct callbacks",
            ])
    }

    @Test("The place of a declaration", arguments: ["-gdwarf-4", "-gdwarf-5"])
    func places(_ version: String) throws {
        let own = try information(
            "#line 40 \"../some/where.h\"\nstruct here { int a; };\nstruct here x;",
            flags: [version, "-fdebug-prefix-map=/=./", "-fdebug-compilation-dir=./one/two"].filter {
                !$0.contains("compilation-dir")
            })
        var places = SourcePlaces(own)
        let type = try #require(try own.definitions(.structure, "here").first)
        let place = try #require(try places.place(of: type.id))
        #expect(place.line == 40)
        #expect(place.file.hasSuffix("some/where.h"), "\(place)")
        #expect(!place.file.contains(".."), "\(place)")
    }

    @Test("What a function uses: parameters, variables, blocks, inlined functions, and what these are made of")
    func uses() throws {
        let own = try own()
        func names(_ function: String) throws -> Set<String> {
            let entries = try #require(try own.functions()[function])
            return Set(try own.typesUsed(by: entries).compactMap { try own.name(of: $0) })
        }
        let user = try names("user")
        for name in ["node", "word", "node.(1)", "node.inner", "unnamed", "colour", "fields", "aligned", "float"] {
            #expect(user.contains(name), "\(name)")
        }
        #expect(user.isDisjoint(with: ["only_cast", "only_sized", "callbacks"]))
        // Debug information does not tell of casts and sizes: the layouts are there all the same.
        #expect(try names("caster").isDisjoint(with: ["only_cast", "only_sized"]))
        #expect(try own.layout("only_cast") == "24: a@0 long int; b@64 long int; c@128 long int")
        #expect(try own.layout("only_sized") == "77: a@0 char[77]")
    }

    static let cxx = """
        namespace outer { struct inner { int a; }; namespace { struct hidden { inner i; }; } }
        struct first { virtual int f(); virtual int g(int); int a; };
        struct second { virtual ~second(); long b; static int shared; };
        class third : public first, virtual public second { int g(int) override; outer::hidden h; int first::*pointer; };
        struct declared; struct holder { declared *d; struct nested { short s; } n; };
        enum class small : unsigned char { one = 1 };
        third t; holder h; small s;
        int third::g(int x) { struct local { int y; } l{x}; static local kept; return l.y + kept.y++; }
        """

    @Test("Classes with bases, virtual functions and names in names", arguments: ["-gdwarf-4", "-gdwarf-5"])
    func classes(_ version: String) throws {
        // Without the second flag a class is described only where its virtual table is.
        let own = try information(
            Self.cxx, "example.cc",
            flags: [version, "-fno-eliminate-unused-debug-types", "-femit-class-debug-always"])
        #expect(try own.layout("outer::inner") == "4: a@0 int")
        #expect(try own.layout("outer::(anonymous)::hidden") == "4: i@0 struct outer::inner")
        #expect(try own.layout("holder::nested") == "2: s@0 short int")
        let second = try own.layout("second")
        #expect(second == "16: _vptr.second@0 int (**)(...); b@64 long int")
        let third = try own.layout("third", kind: .class)
        #expect(
            third == "40: first@0 struct first; second@? struct second; h@96 struct outer::(anonymous)::hidden; "
                + "pointer@128 int ::*")
        let first = try #require(try own.definitions(.structure, "first").first)
        #expect(
            try own.virtualFunctions(of: first.id).map { "\($0.name) \($0.slot ?? 99)" }
                == ["_ZN5first1fEv 0", "_ZN5first1gEi 1"])
        let small = try #require(try own.definitions(.enumeration, "small").first)
        #expect(try own.spelling(of: small.target) == "unsigned char")
        #expect(try own.definitions(.structure, "declared").isEmpty)
        #expect(try own.staticVariables().contains { $0.name == "third::g::kept" })
        // By its symbol, as the linker knows it.
        let used = try own.typesUsed(by: try #require(try own.functions()["_ZN5third1gEi"]))
        #expect(try used.contains { try own.name(of: $0) == "outer::(anonymous)::hidden" })
    }

    @Test(
        "Type units, in sections of their own, are the types that they stand for",
        arguments: ["-gdwarf-4", "-gdwarf-5"])
    func typeUnits(_ version: String) throws {
        let flags = [version, "-femit-class-debug-always"]
        let plain = try information(Self.cxx, "example.cc", flags: flags)
        let units = try information(Self.cxx, "example.cc", flags: flags + ["-fdebug-types-section"])
        for name in ["outer::inner", "first", "second", "holder::nested", "holder"] {
            #expect(try units.layout(name) == plain.layout(name), "\(name)")
        }
        #expect(try units.layout("third", kind: .class) == plain.layout("third", kind: .class))
        #expect(
            try units.staticVariables().map { try units.spelling(of: $0.type) }.sorted()
                == plain.staticVariables().map { try plain.spelling(of: $0.type) }.sorted())
    }

    @Test("Without debug information there is nothing, and assembly has no types")
    func without() throws {
        let without = try information("int x;", flags: ["-g0"])
        #expect(without.isEmpty)
        #expect(!without.describesTypes)
        let assembly = try information(".text\nf: ret\n", "example.s", flags: ["-g"])
        #expect(!assembly.isEmpty)
        #expect(!assembly.describesTypes)
        #expect(try information("int x;").describesTypes)
    }

    @Test(
        "What is not read is refused with what to do",
        arguments: [("-gz=zlib", "compressed"), ("-gsplit-dwarf", "split"), ("-gdwarf-3", "version 3")])
    func refused(_ flag: String, _ word: String) throws {
        let error = try #require(throws: DWARFError.self) {
            try information(Self.source, flags: flag == "-gdwarf-3" ? [flag] : ["-gdwarf-5", flag])
        }
        #expect(error.code == .unsupported)
        #expect(error.reason.contains(word), "\(error)")
    }
}
