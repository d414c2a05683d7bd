//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import Glibc

/// A directory of the cache for what is not finished yet.
///
/// It is locked as long as the process lives that made it. However that ends, the lock is gone with it; what is
/// not locked is nobody's, and the next run removes it. No number of a process is looked at: another process may
/// have it by then.
struct ScratchDirectory: Sendable {
    /// Absolute path, without symbolic links.
    let path: String
    private let descriptor: Int32

    /// Where all of them are: on the cache's file system, so that what is finished is only renamed.
    private static func parent(_ cache: Cache) -> String { cache.directory + "/scratch" }

    /// Makes one; the caller removes or moves it.
    ///
    /// - Throws: `PreparationError` with `systemFailed` or `noSpace`.
    init(in cache: Cache, _ name: String) throws(PreparationError) {
        let parent = ScratchDirectory.parent(cache)
        try Files.makeDirectory(parent)
        let place = try Files.physical(parent)
        // Another process may sweep just between making and locking: then the lock is not to be had, or the
        // directory is gone.
        for _ in 0..<100 {
            let path = "\(place)/\(name).\(UUID().uuidString)"
            try Files.makeDirectory(path)
            let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            if descriptor < 0 { continue }
            var status = stat()
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0, stat(path, &status) == 0 {
                self.path = path
                self.descriptor = descriptor
                return
            }
            close(descriptor)
        }
        throw PreparationError(.systemFailed, "no directory can be made and locked in \(place)")
    }

    /// Removes it with all in it. What cannot be removed now is left for the next run.
    func remove() {
        try? Files.remove(path)
        close(descriptor)
    }

    /// Gives it its final name, in place of what has that name. If that fails it is still to be removed.
    func move(to final: String) throws(PreparationError) {
        try Files.makeDirectory(Files.parent(final))
        try Files.remove(final)
        try Files.rename(path, to: final)
        close(descriptor)
    }

    /// Removes what processes left that are gone.
    static func sweep(_ cache: Cache) {
        let parent = parent(cache)
        for name in Files.names(parent) {
            let path = "\(parent)/\(name)"
            let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
            guard descriptor >= 0 else { continue }
            defer { close(descriptor) }
            // A compiler that is just being ended may still write: then it is left for the run after this one.
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { try? Files.remove(path) }
        }
    }

    /// Does something with a directory that is gone afterwards.
    static func with<Result>(
        _ cache: Cache, _ name: String, _ body: (String) async throws -> Result
    ) async throws -> Result {
        let scratch = try ScratchDirectory(in: cache, name)
        defer { scratch.remove() }
        return try await body(scratch.path)
    }
}
