//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import PatchBuilding
import Testing

/// The machine's package sources, in both styles, become entries of our own.
@Suite("Package sources") struct PackageSourcesTests {
    static let oneLine = """
        # a comment
        deb http://deb.example.org/debian bookworm main contrib # behind it
        deb-src http://deb.example.org/debian bookworm main contrib
        deb [ arch=amd64,arm64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg trusted=yes ] http://sec.example.org/debian-security bookworm-security main
        deb [signed-by=/usr/share/keyrings/other.gpg] https://other.example.org/x bookworm main
        deb cdrom:[Debian]/ bookworm main
        deb http://deb.example.org/debian trixie main
        deb http://deb.example.org/debian bookworm-debug main
        deb [broken http://deb.example.org/debian bookworm main
        nonsense
        """

    static let deb822 = """
        # a comment
        Types: deb
        # another
        URIs: http://deb.example.org/debian
        Suites: bookworm bookworm-updates trixie
        Components: main
         contrib
        Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

        Types: deb
        Enabled: no
        URIs: http://off.example.org/debian
        Suites: bookworm
        Components: main


        types: deb deb-src
        uris: http://sec.example.org/debian-security
        suites: bookworm-security
        components: main
        trusted: yes
        signed-by:
         -----BEGIN PGP PUBLIC KEY BLOCK-----
         .
         abc
        """

    @Test("Entries of the older style") func olderStyle() throws {
        var sources = PackageSources()
        sources.addOneLineStyle(Self.oneLine)
        #expect(sources.entries.count == 6)
        let first = try #require(sources.entries.first)
        #expect(
            first
                == .init(
                    types: ["deb", "deb-src"], uris: ["http://deb.example.org/debian"], suites: ["bookworm"],
                    components: ["main", "contrib"]))
        let second = sources.entries[1]
        #expect(second.options["Architectures"] == "amd64 arm64")
        #expect(second.options["Signed-By"] == "/usr/share/keyrings/debian-archive-keyring.gpg")
        #expect(second.uris == ["http://sec.example.org/debian-security"])
    }

    @Test("Entries of the newer style") func newerStyle() throws {
        var sources = PackageSources()
        sources.addDeb822Style(Self.deb822)
        #expect(sources.entries.count == 2)
        #expect(sources.entries[0].suites == ["bookworm", "bookworm-updates", "trixie"])
        #expect(sources.entries[0].components == ["main", "contrib"])
        #expect(sources.entries[1].types == ["deb", "deb-src"])
        #expect(sources.entries[1].options["Signed-By"]?.contains("BEGIN PGP") == true)
    }

    @Test("Only the distribution's own entries, signed, with sources") func distribution() {
        var sources = PackageSources()
        sources.addOneLineStyle(Self.oneLine)
        sources.addDeb822Style(Self.deb822)
        let own = sources.ofDistribution(suite: "bookworm")
        #expect(
            own.deb822 == """
                Types: deb deb-src
                URIs: http://deb.example.org/debian
                Suites: bookworm
                Components: main

                Types: deb deb-src
                URIs: http://sec.example.org/debian-security
                Suites: bookworm-security
                Components: main
                Architectures: amd64 arm64
                Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

                Types: deb deb-src
                URIs: http://deb.example.org/debian
                Suites: bookworm bookworm-updates
                Components: main
                Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

                Types: deb deb-src
                URIs: http://sec.example.org/debian-security
                Suites: bookworm-security
                Components: main
                Signed-By:
                 -----BEGIN PGP PUBLIC KEY BLOCK-----
                 .
                 abc

                """)
        #expect(sources.ofDistribution(suite: "bullseye").entries.isEmpty)
        // What was written is read as the same.
        var again = PackageSources()
        again.addDeb822Style(own.deb822)
        #expect(again == own)
    }

    @Test("A missing file, a missing version and other failures are told apart") func failures() {
        let item = AptClient.Item.debian(source: "plume", version: "1:1.0-1~deb12u2")
        let missing = AptClient.failure(
            of: item,
            saying: """
                W: something
                E: Failed to fetch http://deb.example.org/pool/plume_1.0-1%7edeb12u2.debian.tar.xz  404  Not Found [IP: 192.0.2.1 80]
                E: Failed to fetch some archives.
                """)
        #expect(missing.code == .fileNotOffered)
        #expect(missing.reason.contains("plume_1.0-1~deb12u2.debian.tar.xz"))
        let unlisted = AptClient.failure(of: item, saying: "E: Can not find version '1.0' of package 'plume'\n")
        #expect(unlisted.code == .versionNotListed)
        let binary = AptClient.Item.binary(package: "libplume1", version: "1")
        #expect(
            AptClient.failure(of: binary, saying: "E: Version '1' for 'libplume1' was not found").code
                == .versionNotListed)
        #expect(
            AptClient.failure(of: item, saying: "E: Failed to fetch http://deb.example.org/x  Hash Sum mismatch").code
                == .fetchFailed)
    }

    @Test(
        "Parts of versions",
        arguments: [
            ("3.0.20-1~deb12u2", "3.0.20", "3.0.20-1~deb12u2"),
            ("8:6.9.11.60+dfsg-1.3", "6.9.11.60+dfsg", "8:6.9.11.60+dfsg-1.3"),
            ("1:1.30.1-6+b3", "1.30.1", "1:1.30.1-6"), ("1.0-rc1-2", "1.0-rc1", "1.0-rc1-2"),
            ("1.0+bis", "1.0+bis", "1.0+bis"),
        ])
    func versions(_ version: String, _ upstream: String, _ source: String) {
        #expect(PackageVersion.upstream(of: version) == upstream)
        #expect(PackageVersion.source(ofBinary: version) == source)
    }
}
