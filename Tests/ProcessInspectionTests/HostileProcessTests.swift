//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import ProcessInspection
import TestSupport
import Testing

/// Objects whose headers lie: whoever can run a process can make us read them.
@Suite struct HostileProcessTests {
    private static let program = """
        #include <fcntl.h>
        #include <stdio.h>
        #include <sys/mman.h>
        #include <unistd.h>
        int main(int c, char **v) {
            int file = open(v[1], O_RDONLY);
            if (mmap(0, 8192, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0) == MAP_FAILED) return 1;
            creat(v[2], 0600);
            for (;;) pause();
        }
        """

    /// An ELF header and program headers: (type, flags, offset, address, size in file, size in memory).
    private func image(_ headers: [[UInt64]]) -> [UInt8] {
        func bytes(_ value: UInt64, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
        }
        var file: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
        file += bytes(3, 2) + bytes(62, 2) + bytes(1, 4) + bytes(0, 8) + bytes(64, 8) + bytes(0, 8) + bytes(0, 4)
        file += bytes(64, 2) + bytes(56, 2) + bytes(UInt64(headers.count), 2) + bytes(0, 6)
        for header in headers {
            file += bytes(header[0], 4) + bytes(header[1], 4) + bytes(header[2], 8) + bytes(header[3], 8)
            file += bytes(header[3], 8) + bytes(header[4], 8) + bytes(header[5], 8) + bytes(4096, 8)
        }
        return file + [UInt8](repeating: 0x90, count: 8192 - file.count)
    }

    @Test(
        arguments: [
            // The end of the object lies before its beginning.
            [[1, 5, 0, 0, 8192, 8192], [1, 4, 4096, 0xffff_ffff_ffff_0000, 16, 16]],
            // So does the end of the code.
            [[1, 5, 0, 0, 8192, 0xffff_ffff_ffff_f000]],
        ] as [[[UInt64]]]) func headersThatLie(headers: [[UInt64]]) throws
    {
        let program = try TestProgram.path("mapper", source: Self.program)
        let name = "\(TestProgram.directory)/hostile-\(UInt32.random(in: 0 ... .max))"
        try Data(image(headers)).write(to: URL(filePath: name))
        let pid = try Command.spawn(program, [name, name + ".ready"])
        defer {
            kill(pid, SIGKILL)
            Command.wait(pid)
        }
        for _ in 0..<5000 where !FileManager.default.fileExists(atPath: name + ".ready") { usleep(1000) }
        let handle = try ProcessHandle(pid: pid)
        for object in try handle.loadedObjects() {
            // None of these may trap.
            #expect(object.range.lowerBound <= object.range.upperBound)
            #expect(object.text.allSatisfy { $0.lowerBound <= $0.upperBound })
            #expect(object.displayName != name)
        }
    }

    /// Ranges without end among others: what cannot be read is empty, and the others are as they are.
    @Test func rangesWithoutEnd() throws {
        let handle = try ProcessHandle(pid: getpid())
        let object = try #require(try handle.loadedObjects().first)
        let start = object.range.lowerBound
        let parts = handle.read([start..<(start + 4), 0..<UInt64.max, 4096..<(1 << 62), start..<(start + 4)])
        #expect(parts.map(\.count) == [4, 0, 0, 4])
        #expect(parts[0] == [0x7f, 0x45, 0x4c, 0x46] && parts[3] == parts[0])
    }
}
