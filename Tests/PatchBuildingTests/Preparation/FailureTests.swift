//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import Glibc
import PatchBuilding
import Testing

/// What goes wrong is told from outside: which, and what to do; and nothing half-made is left.
@Suite("Failures of a build") struct FailureTests {
    /// A recipe that cannot become a live patch.
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var changes: [String: String] = ["src/one.c": ShippedPlume.fixedOne]
        var fix = "{files: [src/one.c]}"
        var fixed = "{tarball: '1.1'}"
        var object = "usr/lib/libplume.so.1"
        var prepare: [String] = []
        var shipping: [String] = []
        var status = 1
        var verdict = "null"
        var reason: String
        /// Parts of the message.
        var parts: [String]

        var testDescription: String { name }
    }

    static let cases: [Case] = [
        Case(
            name: "a file that upstream's tarball has not", fix: "{files: [src/one.c, src/nope.c, src/none.c]}",
            reason: "file-not-in-source", parts: ["plume_1.1.orig.tar.gz", "src/nope.c, src/none.c"]),
        Case(
            name: "a file that the source package has not", fix: "{files: [src/nope.c]}", fixed: "{source: 1.0-2}",
            reason: "file-not-in-source", parts: ["1.0-2", "src/nope.c"]),
        Case(
            name: "a patch that the source package has not", fix: "{patches: [fix.patch, nope.patch]}",
            fixed: "{source: 1.0-2}", reason: "file-not-in-source", parts: ["1.0-2", "debian/patches/nope.patch"]),
        Case(
            name: "an object that the package has not", object: "usr/lib/libother.so.1",
            reason: "object-not-in-package", parts: ["libplume1_1.0-1_amd64.deb", "usr/lib/libother.so.1"]),
        Case(
            name: "a build step that fails", prepare: ["exit 7"], reason: "build-failed",
            parts: ["plume 1.0-1 ended with 7", "/logs/plume-1.0-1-survey.log"]),
        Case(
            name: "a fix that no compiler accepts", changes: ["src/one.c": "int one(void) { return }\n"],
            reason: "build-failed", parts: ["compiling src/one.c", "error: expected expression"]),
        Case(
            name: "a source that is not what was shipped",
            shipping: ["sed -i 's/return DEEP;/return DEEP * 3;/' src/one.c"], status: 2, verdict: "\"impossible\"",
            reason: "not-matched",
            parts: [
                "shared/one.o: .text (", "1 of 2 functions are; the first that is not is one (",
                "differs from byte 1 on",
            ]),
        Case(
            name: "a fix of comments",
            changes: ["src/one.c": (PlumePackage.files["src/one.c"] ?? "") + "/* One. */\n"],
            status: 2, verdict: "\"empty\"", reason: "only-comments", parts: ["src/one.c"]),
        Case(
            name: "a fix of another architecture",
            changes: [
                "src/one.c": (PlumePackage.files["src/one.c"] ?? "")
                    + "#ifdef __aarch64__\nint arm(void) { return 1; }\n#endif\n"
            ],
            status: 2, verdict: "\"empty\"", reason: "not-compiled", parts: ["src/one.c", "#if"]),
        Case(
            name: "a fix that makes the same code",
            changes: ["src/one.c": (PlumePackage.files["src/one.c"] ?? "").replacing("DEEP;", with: "(DEEP);")],
            status: 2, verdict: "\"empty\"", reason: "same-code", parts: ["src/one.c"]),
    ]

    @Test("Each failure has its reason, its remedy and its exit code, as text too", arguments: cases)
    func failure(_ expected: Case) async throws {
        try await withTemporaryDirectory { directory in
            let shipped = try await ShippedPlume(
                in: directory, changes: expected.changes, fix: expected.fix, fixed: expected.fixed,
                object: expected.object, prepare: expected.prepare, shipping: expected.shipping)
            let run = try await shipped.run(try shipped.command())
            #expect(run.status == expected.status, "\(run.output)\(run.errors)")
            #expect(run.contains("\"schema\":\"moult.build/1\""))
            #expect(run.contains("\"reason\":\"\(expected.reason)\""), "\(run.output)")
            #expect(run.contains("\"verdict\":\(expected.verdict)}"))
            for part in expected.parts { #expect(run.contains(part.replacing("\"", with: "\\\"")), "\(run.output)") }
            let text = try await shipped.run(try shipped.command(format: "text"))
            #expect(text.status == expected.status)
            #expect(text.contains(expected.reason))
            #expect(text.contains("remedy: "))
            for part in expected.parts { #expect(text.contains(part), "\(text.output)") }
            if expected.verdict == "\"empty\"" {
                #expect(text.contains("fix: empty\n"))
                #expect(text.contains("the fix changes nothing in this target"))
            }
            #expect(shipped.patch == nil)
            #expect(shipped.unfinished.isEmpty)
        }
    }

    @Test("Where the bytes differ, the packages that made them are named") func packages() async throws {
        try await withTemporaryDirectory { directory in
            let shipped = try await ShippedPlume(
                in: directory, shipping: ["sed -i 's/return DEEP;/return DEEP * 3;/' src/one.c"])
            let text = try await shipped.run(try shipped.command(format: "text"))
            for name in ["cpp-12", "binutils-x86-64-linux-gnu", "libc6-dev", "make"] {
                let line = try await shell("dpkg-query --show --showformat '${Package}=${Version}' \(name)")
                #expect(text.contains("    \(line)\n"), "\(text.output)")
            }
        }
    }

    @Test("A patch of the distribution that does not apply is named, with what patch(1) said") func patch() async throws
    {
        try await withTemporaryDirectory { directory in
            let shipped = try await ShippedPlume(
                in: directory, fix: "{patches: [fix.patch]}", fixed: "{source: 1.0-2}")
            let slot = shipped.plume.cache.directory + "/mirror/\(PlumePackage.suite)/debian/plume/1.0-2"
            try await shell(
                """
                mkdir \(directory)/other; tar -xf \(slot)/plume_1.0-2.debian.tar.xz -C \(directory)/other
                sed -i 's/return DEEP; /return DEEPER; /' \(directory)/other/debian/patches/fix.patch
                tar -caf \(slot)/plume_1.0-2.debian.tar.xz -C \(directory)/other debian
                cd \(slot); sha256sum *.xz >SHA256SUMS
                """)
            let run = try await shipped.run(try shipped.command())
            #expect(run.status == 1)
            #expect(run.contains("\"reason\":\"patch-does-not-apply\""), "\(run.output)")
            #expect(run.contains("fix.patch") && run.contains("patching file src/one.c"), "\(run.output)")
            #expect(shipped.unfinished.isEmpty)
        }
    }

    @Test("Without bubblewrap nothing is built, and what is missing is named") func noSandbox() async throws {
        try await withTemporaryDirectory { directory in
            let shipped = try await ShippedPlume(in: directory)
            // In a mount namespace of its own, where the program is hidden.
            let run = try await shipped.run(
                "unshare -m --propagation private sh -c 'mount --bind /dev/null /usr/bin/bwrap; \(try shipped.command())'"
            )
            #expect(run.status == 1)
            #expect(run.contains("\"reason\":\"sandbox-unavailable\""), "\(run.output)")
            #expect(run.contains("Install bubblewrap"))
        }
    }

    @Test("A full disk under the cache is told as such, however full, until there is room") func fullCache()
        async throws
    {
        try await withTemporaryDirectory { directory in
            let shipped = try await ShippedPlume(in: directory)
            let small = directory + "/small"
            try await shell("mkdir \(small)")
            var failures = 0
            for kilobytes in stride(from: 40, to: 1000, by: 20) {
                let run = try await shipped.run(
                    """
                    unshare -m --propagation private sh -c '
                      mount -t tmpfs -o size=\(kilobytes)k tmpfs \(small)
                      cp -a \(shipped.plume.cache.directory)/mirror \(small)
                      \(try shipped.command(cache: small)); s=$?; ls -A \(small)/scratch >\(directory)/left
                      exit $s'
                    """)
                let left = FileManager.default.contents(atPath: directory + "/left")
                #expect(left?.isEmpty == true, "with \(kilobytes) KiB")
                if run.status == 0 { break }
                failures += 1
                #expect(run.status == 1)
                #expect(run.contains("\"reason\":\"no-space\""), "with \(kilobytes) KiB: \(run.output)\(run.errors)")
                #expect(run.contains("MOULT_CACHE"))
                #expect(shipped.patch == nil)
            }
            #expect(failures > 5)
            #expect(shipped.patch != nil, "at last there is room")
        }
    }

    @Test("A full disk under the output is told as such, and leaves no part of a live patch") func fullOutput()
        async throws
    {
        try await withTemporaryDirectory { directory in
            let shipped = try await ShippedPlume(in: directory)
            let small = directory + "/small"
            let run = try await shipped.run(
                """
                mkdir \(small)
                unshare -m --propagation private sh -c '
                  mount -t tmpfs -o size=4k tmpfs \(small); printf x >\(small)/full
                  \(try shipped.command(output: small)); s=$?; ls -A \(small) >\(directory)/left; exit $s'
                """)
            #expect(run.status == 1)
            #expect(run.contains("\"reason\":\"no-space\""), "\(run.output)")
            #expect(run.contains("\(small)/fix.moult cannot be written: No space left on device"), "\(run.output)")
            #expect(FileManager.default.contents(atPath: directory + "/left") == Data("full\n".utf8))
        }
    }
}
