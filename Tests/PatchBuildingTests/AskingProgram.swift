//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import Glibc
import TestSupport

/// A running program that asks a library the same questions again and again.
final class AskingProgram {
    struct Answers: Equatable {
        var direct: [Int32]
        var copied: [Int32]
    }

    let pid: pid_t
    private let file: String
    private let library: String

    private static let source = """
        #include <fcntl.h>
        #include <sys/mman.h>
        #include <unistd.h>
        int direct(int question), copied(int question);
        int main(int count, char **arguments) {
            if (count < 2) return 64;
            int file = open(arguments[1], O_RDWR | O_CREAT, 0600);
            if (file < 0 || ftruncate(file, 4096) != 0) return 1;
            volatile int *words = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
            if (words == MAP_FAILED) return 1;
            copied(0);
            for (;;) {
                for (int question = 0; question < 3; question++) {
                    words[1 + question] = direct(question);
                    words[4 + question] = copied(question);
                }
                words[0]++;
                usleep(200);
            }
        }
        """

    /// Starts it with a library beside it.
    init(library: String, directory: String) throws {
        self.library = directory + "/libplume.so.1"
        try? FileManager.default.removeItem(atPath: self.library)
        try FileManager.default.copyItem(atPath: library, toPath: self.library)
        file = directory + "/answers"
        let program = try TestProgram.path(
            "asking", source: Self.source,
            flags: ["-Wl,--no-as-needed", self.library, "-Wl,-rpath,\(directory)"])
        pid = try Command.spawn(program, [file])
    }

    deinit {
        kill(pid, SIGKILL)
        Command.wait(pid)
    }

    private var words: [Int32] {
        guard let data = try? Data(contentsOf: URL(filePath: file)), data.count >= 64 else { return [] }
        return data.prefix(64).withUnsafeBytes { Array($0.bindMemory(to: Int32.self)) }
    }

    /// The answers that it gets now: none from before is among them. Empty if it does not answer for a minute.
    func answers() -> Answers {
        let start = words.first ?? 0
        for _ in 0..<60_000 {
            let now = words
            if now.count >= 7, now[0] >= start + 2 {
                return Answers(direct: Array(now[1..<4]), copied: Array(now[4..<7]))
            }
            usleep(1000)
        }
        return Answers(direct: [], copied: [])
    }

    /// The word at a place of the library, read from outside.
    func word(at address: UInt64) -> UInt64 {
        let maps = (try? String(contentsOf: URL(filePath: "/proc/\(pid)/maps"), encoding: .utf8)) ?? ""
        guard let line = maps.split(separator: "\n").first(where: { $0.hasSuffix(library) }),
            let base = UInt64(line.prefix { $0 != "-" }, radix: 16)
        else { return 0 }
        let memory = open("/proc/\(pid)/mem", O_RDONLY)
        defer { close(memory) }
        var word: UInt64 = 0
        return pread(memory, &word, 8, off_t(base + address)) == 8 ? word : 0
    }
}
