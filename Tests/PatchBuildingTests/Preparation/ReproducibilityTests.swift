//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import PatchBuilding
import Testing

/// The same inputs give the same live patch, whoever builds it, where, and with what around.
@Suite("Reproducible builds") struct ReproducibilityTests {
    @Test("Another cache, environment, number of processors, mask and user change no byte") func surroundings()
        async throws
    {
        try await withTemporaryDirectory { directory in
            let shipped = try await ShippedPlume(in: directory)
            let plain = try await shipped.run(try shipped.command())
            #expect(plain.status == 0, "\(plain.output)\(plain.errors)")
            let expected = try #require(shipped.patch)

            let mirror = shipped.plume.cache.directory + "/mirror"
            let longer = directory + "/a cache/at/quite/another/and/much/longer/path"
            let other = try await shipped.run(
                """
                mkdir -p '\(longer)'; cp -a \(mirror) '\(longer)'
                cd /usr
                exec env -i HOME=/nonexistent/home LANG=de_DE.UTF-8 LC_ALL=tr_TR.UTF-8 TZ=Pacific/Kiritimati \\
                  PATH=/nonexistent:/usr/bin:/bin SOURCE_DATE_EPOCH=1 CFLAGS=-O0 CPPFLAGS=-DDEEP=9 CPATH=\(directory) \\
                  DEB_BUILD_OPTIONS=noopt DEB_CFLAGS_APPEND=-O1 MAKEFLAGS=-j9 CC=false TMPDIR=\(directory) USER=somebody \\
                  MOULT_CACHE='\(longer)' taskset -c 0 sh -c 'umask 077; exec "$0" "$@"' \\
                  \(try ShippedPlume.executable) build \(shipped.recipe) --output \(directory)/other
                """)
            #expect(other.status == 0, "\(other.output)\(other.errors)")
            #expect(bytes(directory + "/other/fix.moult") == expected)

            let own = directory + "/nobody"
            let user = try await shipped.run(
                """
                mkdir \(own); cp -a \(mirror) \(own); cp \(try ShippedPlume.executable) \(directory)/moult-build
                chown -R 65534:65534 \(own)
                exec env MOULT_CACHE=\(own) setpriv --reuid 65534 --regid 65534 --clear-groups \\
                  \(directory)/moult-build build \(shipped.recipe) --output \(own)/out
                """)
            #expect(user.status == 0, "\(user.output)\(user.errors)")
            #expect(bytes(own + "/out/fix.moult") == expected)
        }
    }

    @Test("Recipe, build recipe, fetched files, compiler, assembler and headers are among the inputs, with digests")
    func inputs() async throws {
        try await withTemporaryDirectory { directory in
            let shipped = try await ShippedPlume(in: directory)
            let run = try await shipped.run(try shipped.command())
            #expect(run.status == 0, "\(run.output)\(run.errors)")
            let folder = shipped.recipe.replacing("/fix.yaml", with: "")
            let lines = try await shell(
                """
                cd \(folder); sha256sum fix.yaml build.yaml
                cd /var/lib/dpkg/info
                for name in cpp-12 gcc-12 binutils-x86-64-linux-gnu libc6-dev:amd64 make gcc; do
                  printf '%s  %s\\n' $(sha256sum <$name.md5sums | cut -c -64) \\
                    $(dpkg-query --show --showformat '${Package}=${Version}' $name)
                done
                find \(shipped.plume.cache.directory)/mirror -name SHA256SUMS ! -path '*/1.0-2/*' | xargs cat
                """)
            for line in lines.split(separator: "\n") {
                let words = line.split(separator: " ")
                #expect(run.contains("\"sha256:\(words[0]) \(words[1])\""), "\(line) of \(run.output)")
                // In the live patch itself, not only in what is said about it.
                let patch = String(decoding: try #require(shipped.patch), as: UTF8.self)
                #expect(patch.contains("sha256:\(words[0]) \(words[1])"))
            }
        }
    }

    @Test("Another version of a package that the build needs makes another build") func upgraded() async throws {
        try await withTemporaryDirectory { directory in
            let shipped = try await ShippedPlume(in: directory)
            #expect(try await shipped.run(try shipped.command()).status == 0)
            // dpkg's own list says so, in a mount namespace of its own.
            let run = try await shipped.run(
                """
                unshare -m --propagation private sh -c '
                  sed "/^Package: make$/,/^$/s/^Version: /Version: 9/" /var/lib/dpkg/status >\(directory)/status
                  mount --bind \(directory)/status /var/lib/dpkg/status
                  \(try shipped.command())'
                """)
            #expect(run.status == 0, "\(run.output)\(run.errors)")
            #expect(run.contains(" make=94."), "\(run.output)")
            let builds = shipped.plume.cache.directory + "/builds/\(PlumePackage.suite)/plume/1.0-1"
            #expect(try FileManager.default.contentsOfDirectory(atPath: builds).count == 2)
        }
    }

    private func bytes(_ path: String) -> [UInt8]? { FileManager.default.contents(atPath: path).map { [UInt8]($0) } }
}
