//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import Glibc

/// Files and directories of the cache, with errors of our own.
enum Files {
    /// Makes a directory and those above it.
    static func makeDirectory(_ path: String) throws(PreparationError) {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw failed("the directory \(path) cannot be made", error)
        }
    }

    /// The bytes of a file.
    static func read(_ path: String) throws(PreparationError) -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw PreparationError(.systemFailed, "\(path) cannot be read")
        }
        return [UInt8](data)
    }

    /// Writes a file so that it is there whole or not at all, also beside another writer.
    static func write(_ bytes: [UInt8], to path: String) throws(PreparationError) {
        do {
            try Data(bytes).write(to: URL(filePath: path), options: .atomic)
        } catch {
            throw failed("\(path) cannot be written", error)
        }
    }

    /// Writes a text.
    static func write(_ text: String, to path: String) throws(PreparationError) {
        try write(Array(text.utf8), to: path)
    }

    /// Whether something is there.
    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    /// The names in a directory, sorted; none if it is not there.
    static func names(_ directory: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).sorted()
    }

    /// Removes a file or a directory with all in it, if it is there.
    static func remove(_ path: String) throws(PreparationError) {
        guard exists(path) || (try? FileManager.default.destinationOfSymbolicLink(atPath: path)) != nil else { return }
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            throw failed("\(path) cannot be removed", error)
        }
    }

    /// Gives a directory its final name.
    static func rename(_ old: String, to new: String) throws(PreparationError) {
        do {
            try FileManager.default.moveItem(atPath: old, toPath: new)
        } catch {
            throw failed("\(old) cannot be renamed", error)
        }
    }

    /// A new directory below a directory. What a process that was killed left there is removed after a day.
    static func makeTemporary(in directory: String, _ prefix: String) throws(PreparationError) -> String {
        for name in names(directory) where name.hasPrefix(prefix + ".") {
            let path = "\(directory)/\(name)"
            if modificationTime(path) < Date().timeIntervalSince1970 - 86400 { try remove(path) }
        }
        let path = "\(directory)/\(prefix).\(UUID().uuidString)"
        try makeDirectory(path)
        return path
    }

    /// A path without `.`, `..` and double slashes; the rest is not looked at.
    static func normalized(_ path: String) -> String {
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == "..", let last = parts.last, last != ".." {
                parts.removeLast()
            } else if part != ".." || !path.hasPrefix("/") {
                parts.append(part)
            }
        }
        return (path.hasPrefix("/") ? "/" : "") + parts.joined(separator: "/")
    }

    /// The same directory without symbolic links in its path.
    static func physical(_ path: String) throws(PreparationError) -> String {
        guard let resolved = realpath(path, nil) else {
            throw PreparationError(.systemFailed, "the directory \(path) cannot be found")
        }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// When a file was last written, in seconds; 0 if that is not known.
    static func modificationTime(_ path: String) -> Double {
        var status = stat()
        guard stat(path, &status) == 0 else { return 0 }
        return Double(status.st_mtim.tv_sec) + Double(status.st_mtim.tv_nsec) / 1e9
    }

    /// The last part of a path.
    static func name(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }

    private static func failed(_ reason: String, _ error: any Error) -> PreparationError {
        PreparationError(.systemFailed, reason, details: "\(error)")
    }
}
