//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import Glibc

extension Cache {
    /// Keeps other processes of ours from working on the same part of the cache, until the lock is released.
    ///
    /// - Parameters:
    ///   - part: name of the part.
    ///   - timeout: how long to wait for another process, in seconds.
    /// - Returns: the lock; whoever has it releases it.
    /// - Throws: `PreparationError` with `cacheBusy` after the time-out.
    func lock(_ part: String, timeout: Int = 900) async throws -> CacheLock {
        let directory = directory + "/locks"
        try Files.makeDirectory(directory)
        let descriptor = open("\(directory)/\(part)", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw PreparationError(.systemFailed, "\(directory)/\(part) cannot be opened")
        }
        let lock = CacheLock(descriptor: descriptor)
        let deadline = ContinuousClock.now + .seconds(timeout)
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK || errno == EINTR else {
                lock.release()
                throw PreparationError(.systemFailed, "\(directory)/\(part) cannot be locked")
            }
            guard ContinuousClock.now < deadline else {
                lock.release()
                throw PreparationError(
                    .cacheBusy, "another process has been working on '\(part)' of the cache for \(timeout) s")
            }
            try await Task.sleep(for: .milliseconds(200))
        }
        return lock
    }
}

/// A part of the cache that is locked. The kernel gives it back when the process ends, however it ends.
///
/// A value to release, not a closure to call: an optimised build of a generic asynchronous closure here made the
/// compiler (Swift 6.3.1) crash while it split the coroutine.
struct CacheLock: Sendable {
    fileprivate let descriptor: Int32

    /// Gives the lock back.
    func release() { close(descriptor) }
}
