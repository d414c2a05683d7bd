//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF
import FoundationEssentials
import PatchBuilding
import Testing

/// All of Debian's openssl: every object of a full build is matched against the shipped libraries, which a
/// build with the same result gives the truth for.
@Suite(.serialized) struct WholeLibraryMatchingTests {
    static func open(_ name: String) async throws -> TargetBuild {
        let path = OpenSSLBuildTests.directory + "CVE-2026-75803.yaml"
        var recipe = try Recipe(path: path)
        recipe.target.object = "usr/lib/x86_64-linux-gnu/" + name
        return try await FixPreparation.open(recipe: recipe, build: try BuildRecipe(besideRecipe: path), mode: .full)
    }

    /// What the linker adds itself or takes from the C library's start files and static part.
    static let notOfObjects: Set<String> = [
        "_init", "_fini", "deregister_tm_clones", "register_tm_clones", "__do_global_dtors_aux", "frame_dummy", "atexit",
    ]

    @Test(arguments: [(name: "libssl.so.3", functions: 1291), (name: "libcrypto.so.3", functions: 10_913)])
    func everyFunctionIsPlaced(name: String, functions: Int) async throws {
        let target = try await Self.open(name)
        var objects: [RebuiltObject] = []
        for (name, path) in zip(target.objectNames, target.objectPaths) {
            let bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
            objects.append(RebuiltObject(name: name, prePlain: bytes, pre: [], post: []))
        }
        let clock = ContinuousClock()
        let start = clock.now
        let placement = try ObjectMatching.place(objects, in: target.shipped)
        let time = clock.now - start
        print(name, "\(objects.count) objects matched in \(time)")
        #if !DEBUG
            #expect(time < .seconds(5))
        #endif

        // The truth: the symbol table of the linked build.
        let linked = try ELFFile([UInt8](try Data(contentsOf: URL(filePath: target.linkedPath))))
        let truth = try Self.functions(linked)
        var found: Set<String> = []
        var wrong: [String] = []
        for object in placement.objects {
            for function in object.functions {
                let key = function.name + " " + String(function.address, radix: 16)
                if truth.contains(key) { found.insert(key) } else { wrong.append(object.name + ": " + key) }
            }
        }
        #expect(wrong.isEmpty)
        #expect(placement.contradictions.isEmpty)
        let missing = truth.subtracting(found).filter { key in
            !Self.notOfObjects.contains(String(key.prefix { $0 != " " }))
        }
        #expect(missing.isEmpty)
        #expect(found.count >= functions)
        for object in placement.objects {
            for code in object.code where code.status != .placed {
                // Members of archives that the linker did not take, and code for .init, which is a single call.
                #expect(code.status == .absent, "\(object.name) \(code.name)")
                #expect(code.name == ".init" || object.functions.isEmpty, "\(object.name) \(code.name)")
            }
            #expect(object.differingData.isEmpty, "\(object.name)")
            #expect(object.differingLiterals == 0, "\(object.name)")
        }
    }

    /// Names and addresses of the functions in a symbol table.
    private static func functions(_ file: ELFFile) throws -> Set<String> {
        try file.withImage { image in
            var result: Set<String> = []
            guard let table = try image.symbols else { return result }
            for index in 0..<table.count {
                let symbol = try table[index]
                guard symbol.type == .function, symbol.isDefined else { continue }
                let name = try table.name(of: symbol).prefix { $0 != "@" }
                result.insert(name + " " + String(symbol.value, radix: 16))
            }
            return result
        }
    }
}
