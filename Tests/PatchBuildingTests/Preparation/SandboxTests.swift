//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import Glibc
import PatchBuilding
import Testing

/// What a package's own build can reach. Every claim is made by a step of a real build, which writes what it saw
/// into its tree.
@Suite("Sandbox of a build") struct SandboxTests {
    /// What a build step prints.
    private func said(
        by script: String, _ plume: PlumePackage, _ mode: BuildWatch.Mode = .survey
    ) async throws -> String {
        var build = plume.build
        build.prepare.append("{ \(script)\n} >said.txt 2>&1 || true")
        let target = try await FixPreparation.open(
            recipe: plume.recipe(["src/one.c"]), build: build, cache: plume.cache, mode: mode)
        return String(decoding: try target.contents(of: "said.txt"), as: UTF8.self)
    }

    @Test("A build step reaches no network, not even a server of this machine") func network() async throws {
        try await withTemporaryDirectory { directory in
            let plume = try await PlumePackage(in: directory, changes: [:])
            let server = try LoopbackServer()
            let attempt = "bash -c 'exec 3<>/dev/tcp/127.0.0.1/\(server.port) && echo reached'"
            #expect(try await shell(attempt) == "reached\n", "the server is there")
            let text = try await said(by: attempt + "; cat /proc/net/route; ls /sys /run || true", plume)
            #expect(!text.contains("reached"))
            #expect(text.contains("Connection refused"))
            // The heading of the table of routes, and no route.
            #expect(text.split(separator: "\n").filter { $0.hasPrefix("Iface") || $0.contains("\t0000") }.count == 1)
        }
    }

    @Test("A build step can write in its tree, and nowhere else") func writing() async throws {
        try await withTemporaryDirectory { directory in
            let plume = try await PlumePackage(in: directory, changes: [:])
            // What would be written below /proc/sys is what is there: if the test fails, nothing has changed.
            let text = try await said(
                by: """
                    for file in /x /usr/x /etc/x /build/x /moult/x /moult/programs/gcc /var/x \(directory)/x; do
                      { true >>"$file"; } 2>/dev/null && echo "wrote $file"
                    done
                    { cat /proc/sys/kernel/core_pattern >/proc/sys/kernel/core_pattern; } 2>/dev/null && echo wrote /proc
                    chmod 700 /usr 2>/dev/null && echo changed /usr
                    mount -t tmpfs x /tmp 2>/dev/null && echo mounted
                    true >inside && echo wrote inside; true >/tmp/x && echo wrote /tmp/x
                    """, plume)
            #expect(text == "wrote inside\nwrote /tmp/x\n")
            #expect(!isThere("/tmp/x"))
            #expect(!isThere(directory + "/x"))
        }
    }

    @Test("A build step sees no home, no secret and no process of the machine, and always the same world")
    func seeing() async throws {
        try await withTemporaryDirectory { directory in
            let plume = try await PlumePackage(in: directory, changes: [:])
            let text = try await said(
                by: """
                    for place in /root /home /etc/shadow /etc/ssh \(directory) /run /srv /opt; do
                      [ -e "$place" ] && echo "saw $place"
                    done
                    [ -e /proc/\(getpid())/stat ] && echo "saw the test"
                    cat /proc/1/comm; hostname; id -un; pwd; umask; date +%Z; echo $HOME; echo $PATH
                    echo ${SUDO_USER-} ${MOULT_CACHE-} $LC_ALL $TZ; grep CapEff /proc/self/status
                    """, plume)
            #expect(
                text == """
                    sh
                    moult
                    nobody
                    /build/plume-1.0
                    0022
                    UTC
                    /nonexistent
                    /moult/programs:/usr/sbin:/usr/bin:/sbin:/bin
                    C.UTF-8 UTC
                    CapEff:\t0000000000000000

                    """)
        }
    }

    @Test("What a build step leaves running ends with the sandbox") func leftRunning() async throws {
        try await withTemporaryDirectory { directory in
            let plume = try await PlumePackage(in: directory, changes: [:])
            let text = try await said(by: "setsid sleep 3600 & sleep 3601 & echo started", plume)
            #expect(text == "started\n")
            #expect(Processes.concerned(with: directory).isEmpty)
        }
    }

    @Test("The compilers of single objects see no file of the machine beside the system's") func compiling()
        async throws
    {
        try await withTemporaryDirectory { directory in
            try Data("int secret;\n".utf8).write(to: URL(filePath: directory + "/secret.h"))
            let plume = try await PlumePackage(
                in: directory,
                changes: ["src/one.c": "#include \"\(directory)/secret.h\"\nint one(void) { return 1; }\n"])
            let error = try await #require(throws: PreparationError.self) { try await plume.prepare(["src/one.c"]) }
            #expect(error.code == .buildFailed)
            #expect(error.reason.contains("compiling src/one.c"))
            #expect(error.details.contains("secret.h: No such file or directory"))
        }
    }

    @Test("A link in a package does not lead out of it", arguments: ["/etc/shadow", "../../../../../../etc/shadow"])
    func link(_ destination: String) async throws {
        try await withTemporaryDirectory { directory in
            let plume = try await PlumePackage(in: directory, changes: [:])
            let slot = plume.cache.directory + "/mirror/\(PlumePackage.suite)/upstream/plume/1.1"
            try await shell(
                """
                mkdir -p \(directory)/link/plume-1.1/src; ln -s \(destination) \(directory)/link/plume-1.1/src/one.c
                tar -czf \(slot)/plume_1.1.orig.tar.gz -C \(directory)/link plume-1.1
                cd \(slot); sha256sum plume_1.1.orig.tar.gz >SHA256SUMS
                """)
            let error = try await #require(throws: PreparationError.self) { try await plume.prepare(["src/one.c"]) }
            #expect(error.code == .notInSource)
        }
    }

    @Test(
        "A build path over the system's own files is refused", arguments: ["/usr/src/x", "/etc", "/proc/x", "/moult/x"])
    func buildPath(_ path: String) async throws {
        try await withTemporaryDirectory { directory in
            let plume = try await PlumePackage(in: directory, changes: [:])
            var build = plume.build
            build.buildPath = path
            let error = try await #require(throws: PreparationError.self) {
                try await FixPreparation.prepare(recipe: plume.recipe(["src/one.c"]), build: build, cache: plume.cache)
            }
            #expect(error.code == .malformedRecipe)
            #expect(error.reason.contains(path))
        }
    }

    @Test("A command is recorded, also where the number of its process was another's before") func sameNumber()
        async throws
    {
        try await withTemporaryDirectory { directory in
            let plume = try await PlumePackage(in: directory, changes: [:])
            var build = plume.build
            build.prepare.append("for number in $(seq 1 2000); do true >/moult/records/$number; done")
            let target = try await FixPreparation.open(
                recipe: plume.recipe(["src/one.c"]), build: build, cache: plume.cache, mode: .survey)
            #expect(target.objectNames == ["shared/one.o", "shared/two.o", "inner/three.o"])
        }
    }

    @Test("What a build writes of its own place is the distribution's place") func place() async throws {
        try await withTemporaryDirectory { directory in
            let plume = try await PlumePackage(in: directory, changes: [:])
            for mode in [BuildWatch.Mode.survey, .full] {
                #expect(
                    try await said(by: "pwd; echo $DEB_BUILD_PATH; dpkg-buildflags --get CFLAGS", plume, mode)
                        .contains("/build/plume-1.0\n/build/plume-1.0\n-g -O2 -ffile-prefix-map=/build/plume-1.0=."))
            }
        }
    }

    private func isThere(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
}

/// Listens on 127.0.0.1, and accepts what comes as far as the kernel does that by itself.
private final class LoopbackServer {
    let port: UInt16
    private let descriptor: Int32

    init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let isListening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, length) == 0 && listen(descriptor, 8) == 0
                    && getsockname(descriptor, address, &length) == 0
            }
        }
        try #require(isListening)
        port = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(descriptor) }
}
