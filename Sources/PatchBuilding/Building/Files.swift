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
        if mkdir(path, 0o777) == 0 { return }
        let parent = parent(path)
        if errno == ENOENT, parent != path {
            try makeDirectory(parent)
            if mkdir(path, 0o777) == 0 { return }
        }
        let error = errno
        var status = stat()
        if error == EEXIST, stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return }
        throw PreparationError.ofSystem("the directory \(path) cannot be made", error)
    }

    /// The bytes of a file.
    static func read(_ path: String) throws(PreparationError) -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw PreparationError(.systemFailed, "\(path) cannot be read")
        }
        return [UInt8](data)
    }

    /// Writes a file so that it is there whole or not at all, also beside another writer.
    ///
    /// The name of the unfinished file does not change from run to run: what a killed process leaves is written
    /// over by the next.
    ///
    /// - Parameter isLasting: whether it has to be on the disk before this returns.
    static func write(_ bytes: [UInt8], to path: String, isLasting: Bool = false) throws(PreparationError) {
        let name = name(path)
        let unfinished = path.dropLast(name.utf8.count) + "." + name + ".unfinished"
        // Another writer of the same file may rename it between opening and locking.
        for _ in 0..<100 {
            let descriptor = open(String(unfinished), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o666)
            guard descriptor >= 0 else { throw PreparationError.ofSystem("\(path) cannot be written", errno) }
            defer { close(descriptor) }
            var opened = stat()
            var named = stat()
            guard flock(descriptor, LOCK_EX) == 0, fstat(descriptor, &opened) == 0,
                stat(String(unfinished), &named) == 0, opened.st_ino == named.st_ino
            else { continue }
            if fill(descriptor, bytes), !isLasting || fsync(descriptor) == 0,
                Glibc.rename(String(unfinished), path) == 0
            {
                return
            }
            let error = errno
            unlink(String(unfinished))
            throw PreparationError.ofSystem("\(path) cannot be written", error)
        }
        throw PreparationError(.systemFailed, "\(path) cannot be written: others write it all the time")
    }

    /// Makes bytes the whole contents of an open file; errno says why not.
    private static func fill(_ descriptor: Int32, _ bytes: [UInt8]) -> Bool {
        guard ftruncate(descriptor, 0) == 0 else { return false }
        return bytes.withUnsafeBytes { buffer in
            var rest = buffer[...]
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return false }
                rest = rest.dropFirst(count)
            }
            return true
        }
    }

    /// Writes a text.
    static func write(_ text: String, to path: String) throws(PreparationError) {
        try write(Array(text.utf8), to: path)
    }

    /// Whether nothing can be written any more on the file system of a directory.
    static func isFull(_ directory: String) -> Bool {
        var status = statvfs()
        guard statvfs(directory, &status) == 0 else { return false }
        // Some file systems have no fixed number of files and say 0 of both.
        return status.f_bavail == 0 || (status.f_files > 0 && status.f_favail == 0)
    }

    /// Whether something is there.
    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    /// Whether a file is there, without a symbolic link on the way from a directory to it.
    static func isRegular(_ path: String, below root: String) -> Bool {
        guard let place = try? physical(path), let root = try? physical(root) else { return false }
        var status = stat()
        return place.hasPrefix(root + "/") && lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

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

    /// A new directory below a directory of which this process is the only user.
    static func makeTemporary(in directory: String, _ prefix: String) throws(PreparationError) -> String {
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

    /// The directory that a path is in.
    static func parent(_ path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func failed(_ reason: String, _ error: any Error) -> PreparationError {
        PreparationError.ofTool(.systemFailed, reason, said: "\(error)")
    }
}
