//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import TestSupport
import Testing

@testable import ProcessInspection

/// Running processes, compared with what the system's own tools say.
@Suite(.serialized) struct ProcessTests {
    @Test func mappingsAreThoseOfTheKernel() throws {
        let victim = try Victim("n")
        let mappings = try ProcessHandle(pid: victim.pid).mappings()
        let lines = try String(contentsOfFile: "/proc/\(victim.pid)/maps", encoding: .utf8).split(separator: "\n")
        #expect(mappings.count == lines.count)
        for (mapping, line) in zip(mappings, lines) {
            let fields = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
            let range = [mapping.range.lowerBound, mapping.range.upperBound].map { String(format: "%08lx", $0) }
            #expect(range.joined(separator: "-") == fields[0])
            let letters =
                "\(mapping.isReadable ? "r" : "-")\(mapping.isWritable ? "w" : "-")"
                + "\(mapping.isExecutable ? "x" : "-")\(mapping.isShared ? "s" : "p")"
            #expect(letters == fields[1])
            #expect(String(format: "%08lx", mapping.fileOffset) == fields[2])
            let name = fields.count > 5 ? fields[5].drop { $0 == " " } : ""
            #expect(mapping.displayName == name)
            if name.hasPrefix("/") {
                let inode = try FileManager.default.attributesOfItem(atPath: String(name))[.systemFileNumber] as? UInt64
                #expect(mapping.identity?.inode == inode)
            }
        }
    }

    @Test(arguments: [[], ["-static"], ["-static-pie"], ["-no-pie"]]) func objectsAreThoseOfReadelf(flags: [String])
        throws
    {
        let victim = try Victim("n", program: try TestProgram.path("victim", flags: flags))
        let objects = try ProcessHandle(pid: victim.pid).loadedObjects()
        #expect(objects.filter { $0.kind == .executable }.count == 1)
        #expect(objects.filter { $0.kind == .vdso }.count == 1)
        let libraries = objects.filter { $0.kind == .library }.map { $0.displayName }
        if flags.contains("-static") || flags.contains("-static-pie") {
            #expect(libraries.isEmpty)
        } else {
            #expect(libraries.contains { $0.contains("libc.so") } && libraries.contains { $0.contains("ld-linux") })
        }
        for object in objects {
            #expect(object.machine == 62)
            guard object.kind != .vdso else {
                #expect(object.text.count == 1 && object.unwindHeader != nil)
                continue
            }
            let notes = try Command.run("/usr/bin/readelf", ["-nW", object.displayName]).output
            let shown = notes.split(separator: "\n").first { $0.contains("Build ID: ") }?.split(separator: " ").last
            #expect(object.buildID?.map { String(format: "%02x", $0) }.joined() == shown.map(String.init))
            try compareSegments(object)
            if object.type == 2 { #expect(object.loadBias == 0) }
        }
    }

    private func compareSegments(_ object: LoadedObject) throws {
        let output = try Command.run("/usr/bin/readelf", ["-lW", object.displayName]).output
        var shown: [LoadedSegment] = []
        var unwind: Range<UInt64>?
        for line in output.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 6, let offset = UInt64(fields[1].dropFirst(2), radix: 16),
                let address = UInt64(fields[2].dropFirst(2), radix: 16),
                let fileSize = UInt64(fields[4].dropFirst(2), radix: 16),
                let size = UInt64(fields[5].dropFirst(2), radix: 16)
            else { continue }
            if fields[0] == "GNU_EH_FRAME" { unwind = address..<(address + size) }
            guard fields[0] == "LOAD" else { continue }
            let letters = fields[6..<(fields.count - 1)].joined()
            let flags: UInt32 =
                (letters.contains("R") ? 4 : 0) | (letters.contains("W") ? 2 : 0) | (letters.contains("E") ? 1 : 0)
            shown.append(
                LoadedSegment(range: address..<(address + size), fileOffset: offset, fileSize: fileSize, flags: flags))
        }
        #expect(!shown.isEmpty)
        #expect(object.segments == shown)
        #expect(object.unwindHeader == unwind)
    }

    @Test func memoryIsRead() throws {
        let handle = try ProcessHandle(pid: getpid())
        let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 * 3) }
        bytes.withUnsafeBytes { buffer in
            let address = UInt64(UInt(bitPattern: buffer.baseAddress))
            let all = try? handle.read(address, count: bytes.count)
            #expect(all == bytes)
            let ranges = (0..<200).map { (address + UInt64($0) * 40)..<(address + UInt64($0) * 40 + 40) }
            let bad: Range<UInt64> = 0x1000..<0x1010
            let parts = handle.read(Array(ranges[..<70]) + [bad] + Array(ranges[70...]))
            #expect(parts.count == 201)
            #expect(parts[70].isEmpty)
            #expect(parts.flatMap { $0 } == Array(bytes[..<8000]))
        }
        #expect(throws: InspectionError.self) { try handle.read(0x1000, count: 8) }
        #expect(handle.readAvailable(0x1000, count: 8).isEmpty)
        #expect(handle.readAvailable(UInt64.max - 3, count: 8).isEmpty)
    }

    @Test func aDeletedFileIsStillTheFile() throws {
        let copy = "\(TestProgram.directory)/deleted\nname (x)"
        try? FileManager.default.removeItem(atPath: copy)
        try FileManager.default.copyItem(atPath: TestProgram.path("victim"), toPath: copy)
        let attributes = try FileManager.default.attributesOfItem(atPath: copy)
        let victim = try Victim("n", program: copy)
        try FileManager.default.removeItem(atPath: copy)
        let handle = try ProcessHandle(pid: victim.pid)
        let program = try #require(try handle.loadedObjects().first { $0.kind == .executable })
        #expect(program.isDeleted)
        #expect(program.name == Array(copy.utf8))
        #expect(program.identity?.inode == attributes[.systemFileNumber] as? UInt64)
        #expect(program.buildID != nil)
        #expect(handle.instance.executable == program.identity)
        try handle.check()
    }

    @Test func anotherMountNamespace() throws {
        let original = try TestProgram.path("victim")
        let folder = "\(TestProgram.directory)/mounted"
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        // The program runs from a file system that we do not see; the shared file stays where it is.
        let script = """
            shift; mount -t tmpfs none \(folder) && cp \(original) \(folder)/victim && exec \(folder)/victim "$@"
            """
        let victim = try Victim("n", prefix: ["/usr/bin/unshare", "-m", "sh", "-c", script, "sh"])
        let handle = try ProcessHandle(pid: victim.pid)
        let program = try #require(try handle.loadedObjects().first { $0.kind == .executable })
        #expect(program.displayName == "\(folder)/victim")
        #expect(!FileManager.default.fileExists(atPath: program.displayName))
        #expect(program.buildID != nil && program.identity == handle.instance.executable)
    }

    @Test func instancesAreToldApart() throws {
        let victim = try Victim("n")
        let handle = try ProcessHandle(pid: victim.pid)
        let instance = handle.instance
        #expect(try ProcessHandle(instance).instance == instance)
        var other = instance
        other.startTime += 1
        let reused = try #require(throws: InspectionError.self) { _ = try ProcessHandle(other).instance }
        #expect(reused.code == .reused)
        other = instance
        other.executable.inode += 1
        #expect(throws: InspectionError.self) { _ = try ProcessHandle(other).instance }
        victim.end()
        let exited = try #require(throws: InspectionError.self) { try handle.check() }
        #expect(exited.code == .exited)
        #expect(throws: InspectionError.self) { _ = try ProcessHandle(instance).instance }
        #expect(handle.readAvailable(0x40_0000, count: 8).isEmpty)
        #expect(throws: InspectionError.self) { try handle.mappings() }
        #expect(handle.patchability(under: .current()).reasons.map(\.obstacle) == [.exited])
    }

    @Test func threadsAndStatus() throws {
        let victim = try Victim("Snn")
        let handle = try ProcessHandle(pid: victim.pid)
        let threads = try handle.threads()
        #expect(threads.count == 3 && threads.contains { $0.tid == victim.pid })
        #expect(threads.allSatisfy { String(decoding: $0.name, as: UTF8.self).hasPrefix("victim") })
        let status = try handle.status()
        #expect(status.threads == 3 && status.parent == getpid() && status.tracer == 0 && status.seccomp == 0)
        #expect(status.effectiveUser == geteuid() && !status.isKernelThread)
        #expect(handle.patchability(under: .current()).isPatchable)
        #expect(try ProcessList.pids().contains(victim.pid))
        let filtered = try Victim("S", options: ["seccomp-allow"])
        #expect(try ProcessHandle(pid: filtered.pid).status().seccomp == 2)
    }

    @Test func obstaclesHaveNames() throws {
        let limits = KernelLimits.current()
        let own = try ProcessHandle(pid: getpid()).patchability(under: limits)
        #expect(own.reasons.map(\.obstacle) == [.ownProcess])
        #expect(throws: InspectionError.self) { _ = try ProcessHandle(pid: 0x3fff_fff0).instance }

        let child = try Command.spawn("/bin/true", [])
        var info = siginfo_t()
        waitid(P_PID, id_t(child), &info, WEXITED | WNOWAIT)
        let zombie = try ProcessHandle(pid: child).patchability(under: limits)
        #expect(zombie.reasons.map(\.obstacle) == [.zombie])
        Command.wait(child)

        // A thread of the kernel, if this is no container that hides them.
        if let thread = try ProcessList.pids().first(where: { pid in
            (try? ProcessHandle(pid: pid).status().isKernelThread) ?? false
        }) {
            #expect(
                try ProcessHandle(pid: thread).patchability(under: limits).reasons.map(\.obstacle) == [.kernelThread])
        }
        for reason in own.reasons + zombie.reasons { #expect(!reason.text.isEmpty && !reason.remedy.isEmpty) }
    }

    /// By bytes of a 32-bit program: its first instruction loops for ever.
    @Test func thirtyTwoBitProgramsAreRefused() throws {
        var bytes: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 1, 1, 1] + [UInt8](repeating: 0, count: 9)
        func add(_ value: UInt32, _ size: Int) {
            for index in 0..<size { bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(8 * index))) }
        }
        add(2, 2)
        add(3, 2)
        for word: UInt32 in [1, 0x0804_8054, 52, 0, 0] { add(word, 4) }
        for half: UInt32 in [52, 32, 1, 0, 0, 0] { add(half, 2) }
        for word: UInt32 in [1, 0, 0x0804_8000, 0x0804_8000, 86, 86, 5, 4096] { add(word, 4) }
        bytes += [0xeb, 0xfe]
        let path = "\(TestProgram.directory)/compat"
        try Data(bytes).write(to: URL(filePath: path))
        chmod(path, 0o755)
        guard let child = try? Command.spawn(path, []) else { return }  // a kernel without 32-bit programs
        defer {
            kill(child, SIGKILL)
            Command.wait(child)
        }
        let verdict = try ProcessHandle(pid: child).patchability(under: .current())
        #expect(verdict.reasons.map(\.obstacle) == [.compat32Bit])
    }

    @Test func goAndJavaAreSeen() throws {
        let source = """
            #include <dlfcn.h>
            #include <fcntl.h>
            #include <stdint.h>
            #include <sys/mman.h>
            #include <sys/prctl.h>
            #include <signal.h>
            #include <unistd.h>
            #ifdef GO
            asm(".pushsection .note.go.buildid,\\"a\\",@note\\n.long 4,4,4\\n.asciz \\"Go\\\\0\\"\\n.long 1\\n.popsection");
            #endif
            int main(int c, char **v) {
                volatile uint64_t *shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open(v[1], O_RDWR), 0);
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (c > 3 && !dlopen(v[3], RTLD_NOW)) return 1;
                shared[0] = 1;
                for (;;) pause();
            }
            """
        let folder = "\(TestProgram.directory)/java"
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let library = try TestProgram.path("jvm", source: "int f(void) { return 1; }", flags: ["-shared", "-fPIC"])
        try? FileManager.default.removeItem(atPath: "\(folder)/libjvm.so")
        try FileManager.default.copyItem(atPath: library, toPath: "\(folder)/libjvm.so")
        let plain = try TestProgram.path("plain", source: source)
        let go = try TestProgram.path("go", source: source, flags: ["-DGO"])
        for (program, options, expected) in [
            (plain, [], NotCovered(isGo: false, isJava: false)), (go, [], NotCovered(isGo: true, isJava: false)),
            (plain, ["\(folder)/libjvm.so"], NotCovered(isGo: false, isJava: true)),
        ] {
            let victim = try Victim("n", options: options, program: program)
            let handle = try ProcessHandle(pid: victim.pid)
            #expect(handle.notCovered(objects: try handle.loadedObjects()) == expected)
        }
    }

    /// Two copies of one library, and a file that is mapped but not loaded.
    @Test func copiesAndPlainMappings() throws {
        let library = try TestProgram.path("copy", source: "int f(void) { return 1; }", flags: ["-shared", "-fPIC"])
        let program = try TestProgram.path(
            "copies",
            source: """
                #define _GNU_SOURCE
                #include <dlfcn.h>
                #include <fcntl.h>
                #include <stdint.h>
                #include <sys/mman.h>
                #include <sys/prctl.h>
                #include <signal.h>
                #include <unistd.h>
                int main(int c, char **v) {
                    volatile uint64_t *shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open(v[1], O_RDWR), 0);
                    prctl(PR_SET_PDEATHSIG, SIGKILL);
                    if (!dlmopen(LM_ID_NEWLM, v[3], RTLD_NOW) || !dlopen(v[3], RTLD_NOW)) return 1;
                    mmap(0, 65536, PROT_READ, MAP_PRIVATE, open(v[3], O_RDONLY), 0);
                    shared[0] = 1;
                    for (;;) pause();
                }
                """)
        let victim = try Victim("n", options: [library], program: program)
        let objects = try ProcessHandle(pid: victim.pid).loadedObjects()
        let copies = objects.filter { $0.displayName == library }
        #expect(copies.count == 2 && copies[0].loadBias != copies[1].loadBias)
        #expect(copies[0].buildID == copies[1].buildID && copies[0].buildID != nil)
    }
}
