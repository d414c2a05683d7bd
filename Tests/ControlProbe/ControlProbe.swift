//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// A tool for the kill test of ProcessControl: moult-control-probe PID [stop] [inject] [poke]. It does the acts in the
// order given and prints what came out; it is part of no product.

import ProcessControl
import ProcessInspection

@main
struct ControlProbe {
    static func main() {
        guard CommandLine.arguments.count > 1, let pid = Int32(CommandLine.arguments[1]) else {
            print("moult-control-probe PID ACT...")
            return
        }
        do {
            var limits = ControlledProcess.Limits()
            limits.stop = 10_000_000_000
            limits.borrow = 10_000_000_000
            limits.usesProcessMemory = !CommandLine.arguments.contains("poke")
            var process = ControlledProcess(try ProcessHandle(pid: pid), limits: limits)
            for act in CommandLine.arguments.dropFirst(2) {
                switch act {
                case "stop": try stop(&process)
                case "inject": try inject(&process)
                default: break
                }
            }
            print("done")
        } catch {
            print("failed: \(error)")
        }
    }

    static func stop(_ process: inout ControlledProcess) throws {
        try process.stopAll()
        let threads = process.threads.count
        let window = process.resumeAll()
        print("stopped \(threads) threads for \(window) ns")
    }

    /// Maps a room beside the C library, fills it, and writes over a byte of the C library's text with itself while all
    /// are stopped.
    static func inject(_ process: inout ControlledProcess) throws {
        let objects = try process.process.loadedObjects()
        guard let library = objects.first(where: { $0.displayName.contains("libc.so") }) ?? objects.first,
            let text = library.text.first
        else { return }
        let room = try process.mapExecutable(size: 16384, within: [library.range])
        let image = [UInt8](repeating: 0xcc, count: 4096)
        try process.write(image, at: room + 4096)
        let bytes = try process.process.read(text.lowerBound, count: 8)
        try process.stopAll()
        try process.write(bytes, at: text.lowerBound)
        // As a header would be: last.
        try process.write([0x4d, 0x4f, 0x55, 0x4c, 0x54, 0, 0, 1], at: room)
        process.resumeAll()
        print("room \(String(room, radix: 16))")
    }
}
