//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import LivePatch

/// Runs targets with and without a patch in a process of their own: what an edit makes of a function may crash or
/// never return.
///
/// The driver patches its own memory as an applier does it (image, gates, state word, jumps), by commands that it
/// reads; it has one thread while it does so.
enum PatchDriver {
    /// A line of the driver's script.
    enum Step {
        /// Calls `int f(int)` and prints what it returns.
        case call(String, Int)
        /// The same in a new thread.
        case thread(String, Int)
        /// Calls `const char *f(int)` and prints the text.
        case text(String, Int)
        /// Prints whether two calls of `void *f(int)` give the same pointer.
        case same(String, String)
        /// Writes jumps to the gates.
        case gates
        /// Writes the state word.
        case state(Int)
        /// Writes jumps to the new functions.
        case jumps
        /// Puts the old bytes back.
        case undo

        fileprivate var line: String {
            switch self {
            case .call(let name, let argument): "call \(name) \(argument)"
            case .thread(let name, let argument): "thread \(name) \(argument)"
            case .text(let name, let argument): "text \(name) \(argument)"
            case .same(let first, let second): "same \(first) \(second)"
            case .gates: "gates"
            case .state(let value): "state \(value)"
            case .jumps: "jumps"
            case .undo: "undo"
            }
        }
    }

    /// What the script printed, one line for each step that prints, and how the process ended where that was not
    /// with exit code 0.
    static func run(
        _ target: URL, kind: SourceFixture.Kind, patch: Patch? = nil, preloaded: [URL] = [], _ steps: [Step],
        in directory: URL
    ) throws -> [String] {
        let driver: URL
        var arguments: [String]
        switch kind {
        case .library:
            driver = try program()
            arguments = [driver.path, target.path]
        case .program:
            arguments = [target.path, "-"]
        }
        if !preloaded.isEmpty {
            arguments.insert("LD_PRELOAD=" + preloaded.map(\.path).joined(separator: ":"), at: 0)
        }
        let input = (patch.map(lines) ?? []) + steps.map(\.line)
        let (status, text) = try CommandLineTool.result(
            ["timeout", "-s", "KILL", "10", "env"] + arguments, in: directory,
            input: input.joined(separator: "\n") + "\n")
        let printed = text.split(separator: "\n").map(String.init)
        return status == "exit 0" ? printed : printed + [status]
    }

    /// A patch as the driver reads it.
    private static func lines(_ patch: Patch) -> [String] {
        let image = patch.image
        var bytes = [UInt8](repeating: 0, count: image.size)
        for (offset, part) in [
            (0, image.code), (image.constantsOffset, image.constants), (image.unwindOffset, image.unwind),
        ] {
            bytes.replaceSubrange(offset..<(offset + part.count), with: part)
        }
        var result = ["image \(bytes.count) \(image.constantsOffset) \(hexadecimal(bytes))"]
        for relocation in image.relocations {
            let destination =
                switch relocation.destination {
                case .target(let address): "t \(address)"
                case .image(let offset): "i \(offset)"
                }
            let width = relocation.kind == .absolute64 ? 8 : 4
            result.append("relocation \(relocation.offset) \(width) \(destination) \(relocation.addend)")
        }
        for entry in patch.entries {
            let gate = entry.gate.map { Int($0.offset) } ?? -1
            result.append(
                "entry \(entry.address) \(entry.replacement) \(gate) \(entry.expected.count) \(hexadecimal(entry.expected))"
            )
        }
        return result + ["ready"]
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    // MARK: - The driver

    private static let built = Result {
        let place = FileManager.default.temporaryDirectory.appendingPathComponent("moult-driver-" + UUID().uuidString)
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        let compiled = try object(in: place, flags: [])
        let output = place.appendingPathComponent("driver")
        try CommandLineTool.run(["gcc", "-o", output.path, compiled.path, "-ldl", "-lpthread"], in: place)
        return output
    }

    /// The driver as a program, which loads its target.
    static func program() throws -> URL { try built.get() }

    /// The driver as an object, to be linked to a target that is a program.
    static func object(in place: URL, flags: [String]) throws -> URL {
        let source = place.appendingPathComponent("moult-driver.c")
        let output = place.appendingPathComponent("moult-driver.o")
        try Data(text.utf8).write(to: source)
        let options = flags.contains("-no-pie") ? ["-fno-pie"] : []
        try CommandLineTool.run(
            ["gcc", "-O1", "-w"] + options + ["-c", source.path, "-o", output.path], in: place)
        return output
    }

    private static let text = #"""
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <link.h>
        #include <pthread.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/mman.h>
        static void *handle;
        static unsigned char *image;
        static size_t size;
        static unsigned long base, state;
        static struct { long address, replacement, gate, count; unsigned char *expected; } entries[64];
        static int count;
        static void fail(const char *why) { printf("driver: %s\n", why); exit(3); }
        static unsigned char *bytes(const char *text, size_t n) {
            unsigned char *result = malloc(n + 8);
            for (size_t i = 0; i < n; i++) {
                unsigned value;
                if (sscanf(text + 2 * i, "%2x", &value) != 1) fail("hexadecimal");
                result[i] = value;
            }
            return result;
        }
        static void *find(const char *name) {
            void *result = dlsym(handle, name);
            if (!result) { printf("driver: no %s\n", name); exit(3); }
            return result;
        }
        static void writeto(unsigned long address, const void *from, size_t n) {
            void *page = (void *)(address & ~0xfffUL);
            if (mprotect(page, 0x2000, PROT_READ | PROT_WRITE | PROT_EXEC)
                && mprotect(page, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC)) fail("mprotect");
            memcpy((void *)address, from, n);
        }
        static void jumps(int gates) {
            for (int i = 0; i < count; i++) {
                unsigned long place = base + entries[i].address;
                unsigned char jump[5] = {0xe9};
                if (gates && entries[i].gate < 0) fail("no gate");
                long to = (long)image + (gates ? entries[i].gate : entries[i].replacement);
                int distance = to - (long)place - 5;
                memcpy(jump + 1, &distance, 4);
                writeto(place, jump, 5);
            }
        }
        struct job { int (*f)(int); int argument, result; };
        static void *work(void *p) { struct job *job = p; job->result = job->f(job->argument); return 0; }
        int main(int argc, char **argv) {
            static char line[1 << 20], kind[64], name[256], other[256];
            setvbuf(stdout, 0, _IOLBF, 0);
            handle = dlopen(strcmp(argv[1], "-") ? argv[1] : 0, RTLD_NOW);
            if (!handle) fail(dlerror());
            struct link_map *map;
            if (dlinfo(handle, RTLD_DI_LINKMAP, &map)) fail("link map");
            base = map->l_addr;
            unsigned long near = (unsigned long)map->l_ld & ~0xffffUL;
            while (fgets(line, sizeof line, stdin)) {
                long a, b, c, d; int used;
                char space;
                if (sscanf(line, "image %ld %ld %n", &a, &b, &used) == 2) {
                    size = (a + 0xfff) & ~0xfffUL;
                    unsigned char *content = bytes(line + used, a);
                    for (long step = 1; step < 1000 && !image; step++)
                        for (int side = -1; side <= 1 && !image; side += 2) {
                            unsigned long hint = near + side * step * 0x100000L;
                            if ((long)hint <= 0x10000) continue;
                            void *p = mmap((void *)hint, size, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
                            if (p != MAP_FAILED) image = p;
                        }
                    if (!image) fail("no room");
                    memcpy(image, content, a);
                    unsigned long pointer = (unsigned long)&state;
                    memcpy(image + b, &pointer, 8);
                } else if (sscanf(line, "relocation %ld %ld %c %ld %ld", &a, &b, &space, &c, &d) == 5) {
                    long value = (space == 't' ? (long)base : (long)image) + c + d;
                    if (b == 8) { memcpy(image + a, &value, 8); continue; }
                    long distance = value - (long)(image + a);
                    if (distance != (int)distance) fail("out of reach");
                    int field = distance;
                    memcpy(image + a, &field, 4);
                } else if (sscanf(line, "entry %ld %ld %ld %ld %n", &a, &b, &c, &d, &used) == 4) {
                    entries[count].address = a; entries[count].replacement = b; entries[count].gate = c;
                    entries[count].count = d; entries[count].expected = bytes(line + used, d);
                    if (memcmp((void *)(base + a), entries[count].expected, d)) fail("memory is not as expected");
                    count++;
                } else if (!strncmp(line, "ready", 5)) {
                    if (mprotect(image, size, PROT_READ | PROT_EXEC)) fail("mprotect");
                } else if (!strncmp(line, "gates", 5)) jumps(1);
                else if (!strncmp(line, "jumps", 5)) jumps(0);
                else if (!strncmp(line, "undo", 4)) {
                    for (int i = 0; i < count; i++) writeto(base + entries[i].address, entries[i].expected, 5);
                } else if (sscanf(line, "state %ld", &a) == 1) state = a;
                else if (sscanf(line, "same %255s %255s", name, other) == 2) {
                    void *(*f)(int) = find(name), *(*g)(int) = find(other);
                    puts(f(0) == g(0) ? "same" : "different");
                } else if (sscanf(line, "%63s %255s %ld", kind, name, &a) == 3) {
                    if (!strcmp(kind, "text")) { const char *(*f)(int) = find(name); puts(f(a)); continue; }
                    struct job job = {find(name), a};
                    if (!strcmp(kind, "thread")) {
                        pthread_t thread;
                        if (pthread_create(&thread, 0, work, &job)) fail("thread");
                        pthread_join(thread, 0);
                    } else work(&job);
                    printf("%d\n", job.result);
                } else fail(line);
            }
            return 0;
        }
        """#
}

extension SourceFixture {
    /// The steps of an applier: old, gates with state 0, gates with state 1, direct jumps, undone; after each one
    /// the same calls. Gives back what each of the five printed.
    func exercise(_ patch: Patch, _ steps: [PatchDriver.Step], preloaded: [URL] = []) throws -> [[String]] {
        let stages: [[PatchDriver.Step]] =
            patch.entries.allSatisfy { $0.gate != nil }
            ? [[], [.gates], [.state(1)], [.jumps], [.undo]] : [[], [.jumps], [.undo]]
        let marked = stages.flatMap { $0 + steps }
        let printed = try PatchDriver.run(
            target, kind: kind, patch: patch, preloaded: preloaded, marked, in: directory)
        guard printed.count == stages.count * steps.count else {
            throw Failure(description: "the driver ended early: \(printed)")
        }
        return stages.indices.map { Array(printed[($0 * steps.count)..<(($0 + 1) * steps.count)]) }
    }
}
