//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import Glibc

/// A directory of the demo's own for one run, removed at its end.
struct Workplace: Sendable {
    /// Absolute path.
    let directory: String

    /// Makes the directory; servers that gave up their privileges may read in it.
    init() throws(DemoError) {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(parent)/moult-demo.XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) } != nil
        }
        guard made else {
            throw DemoError(code: .system, reason: "no directory can be made in \(parent)")
        }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        chmod(directory, 0o755)
    }

    /// A path in the directory.
    func path(_ name: String) -> String { directory + "/" + name }

    /// Writes a text file.
    func write(_ text: String, to name: String) throws(DemoError) -> String {
        do {
            try text.write(toFile: path(name), atomically: false, encoding: .utf8)
        } catch {
            throw DemoError(code: .system, reason: "\(path(name)) cannot be written")
        }
        return path(name)
    }

    /// Reads a text file of the directory; empty if there is none.
    func read(_ name: String) -> String {
        guard let data = try? Data(contentsOf: URL(filePath: path(name))) else { return "" }
        return String(decoding: data, as: UTF8.self)
    }

    /// Removes everything.
    func remove() { try? FileManager.default.removeItem(atPath: directory) }
}
