//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF
import FoundationEssentials
import LivePatch
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
        "_init", "_fini", "deregister_tm_clones", "register_tm_clones", "__do_global_dtors_aux", "frame_dummy",
        "atexit",
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

    @Test(arguments: ["libssl.so.3", "libcrypto.so.3"])
    func unmodifiedSourceChangesNothing(name: String) async throws {
        let target = try await Self.open(name)
        let objects = try await target.rebuild()
        #expect(objects.count == target.objectNames.count)
        let clock = ContinuousClock()
        let start = clock.now
        for object in objects {
            let differences = try ObjectDiffing.differences(pre: object.pre, post: object.post, name: object.name)
            #expect(differences.isEmpty, "\(object.name)")
        }
        print(name, "\(objects.count) objects compared in \(clock.now - start)")
        let outcome = try LivePatchFactory.makePatch(
            shipped: target.shipped, objects: objects, description: Self.description)
        #expect(outcome.judgement == .empty)
    }

    /// One token in one function of ten files; the first place of the old text behind the function's name.
    static let edits: [(source: String, function: String, old: String, new: String)] = [
        ("crypto/asn1/f_int.c", "a2i_ASN1_INTEGER", "bufsize < 1", "bufsize < 3"),
        ("crypto/cmac/cmac.c", "CMAC_Final", "return 0;", "return 2;"),
        ("crypto/http/http_lib.c", "use_proxy", "return 0;", "return 6;"),
        ("crypto/dso/dso_lib.c", "DSO_free", "return 1;", "return 3;"),
        ("crypto/x509/x509_vfy.c", "get_crl_sk", "crl_score == 0", "crl_score == 1"),
        ("crypto/asn1/asn1_lib.c", "ASN1_STRING_cmp", "i == 0", "i == 1"),
        ("crypto/rsa/rsa_pk1.c", "RSA_padding_check_PKCS1_type_1", "return -1;", "return -2;"),
        ("crypto/bio/bio_addr.c", "BIO_ADDR_rawmake", "return 1;", "return 5;"),
        ("crypto/x509/pcy_map.c", "ossl_policy_cache_set_mapping", "ret = -1;", "ret = -3;"),
        ("providers/implementations/ciphers/cipher_aes_ocb.c", "aes_ocb_cipher", "return 0;", "return 4;"),
    ]

    @Test func editsOfOneTokenAreFoundInTheirFunctions() async throws {
        let target = try await Self.open("libcrypto.so.3")
        var changes: [String: [UInt8]] = [:]
        for edit in Self.edits {
            let text = String(decoding: try target.contents(of: edit.source), as: UTF8.self)
            changes[edit.source] = Array(try #require(Self.edited(text, edit)).utf8)
        }
        let names = Set(
            target.objectNames.filter { name in
                Self.edits.contains { target.source(ofObject: name) == $0.source }
            })
        #expect(names.count == Self.edits.count)
        for object in try await target.rebuild(objects: names, changes: changes) {
            let edit = try #require(Self.edits.first { target.source(ofObject: object.name) == $0.source })
            let outcome = try LivePatchFactory.makePatch(
                shipped: target.shipped, objects: [object], description: Self.description)
            #expect(outcome.functions.map(\.name) == [edit.function], "\(object.name)")
            #expect(outcome.judgement == .automatic, "\(object.name)")
            #expect(outcome.functions.first?.address != nil)
        }
    }

    private static func edited(
        _ text: String, _ edit: (source: String, function: String, old: String, new: String)
    ) -> String? {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard
            let start = lines.firstIndex(where: {
                $0.contains(edit.function + "(") && $0.first?.isLetter == true && !$0.hasSuffix(";")
            })
        else { return nil }
        for index in start..<lines.count where lines[index].contains(edit.old) {
            let parts = lines[index].split(separator: edit.old, maxSplits: 1, omittingEmptySubsequences: false)
            lines[index] = parts[0] + edit.new + parts[1]
            return lines.joined(separator: "\n")
        }
        return nil
    }

    static var description: PatchDescription {
        PatchDescription(
            identifier: "test", targetName: "libcrypto.so.3", package: "libssl3", packageVersion: "",
            provenance: Provenance(
                cves: [], partOf: "", source: "openssl", suite: "bookworm", vulnerableVersion: "", fixedVersion: "",
                reasons: [], inputs: []))
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
