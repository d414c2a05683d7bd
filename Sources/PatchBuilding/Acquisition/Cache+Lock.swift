//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import Glibc

extension Cache {
    /// A part of the cache that no other process of ours works on until `release`.
    ///
    /// A value and not a function that takes a body: the optimiser of Swift 6.3 crashes on asynchronous closures
    /// that are isolated to their caller.
    struct Lock: Sendable {
        fileprivate let descriptor: Int32

        /// Gives the part back; called once. The end of the process, however it comes, does it too.
        func release() { close(descriptor) }
    }

    /// Waits until no other process of ours works on a part of the cache, and takes it.
    ///
    /// - Parameters:
    ///   - part: name of the part.
    ///   - timeout: how long to wait for another process, in seconds.
    /// - Returns: the lock, to be released by the caller.
    /// - Throws: `PreparationError` with `cacheBusy` after the time-out.
    func lock(_ part: String, timeout: Int = 900) async throws -> Lock {
        let directory = directory + "/locks"
        try Files.makeDirectory(directory)
        let descriptor = open("\(directory)/\(part)", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw PreparationError(.systemFailed, "\(directory)/\(part) cannot be opened")
        }
        do {
            let deadline = ContinuousClock.now + .seconds(timeout)
            while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
                guard errno == EWOULDBLOCK || errno == EINTR else {
                    throw PreparationError(.systemFailed, "\(directory)/\(part) cannot be locked")
                }
                guard ContinuousClock.now < deadline else {
                    throw PreparationError(
                        .cacheBusy, "another process has been working on '\(part)' of the cache for \(timeout) s")
                }
                try await Task.sleep(for: .milliseconds(200))
            }
        } catch {
            close(descriptor)
            throw error
        }
        return Lock(descriptor: descriptor)
    }
}
