//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import Glibc

extension Cache {
    /// Runs a body while no other process of ours works on the same part of the cache.
    ///
    /// - Parameters:
    ///   - part: name of the part.
    ///   - timeout: how long to wait for another process, in seconds.
    ///   - isolation: where the body runs: that of the caller.
    ///   - body: what to do.
    /// - Returns: what the body returns.
    /// - Throws: `PreparationError` with `cacheBusy` after the time-out, and what the body throws.
    func withLock<Result>(
        _ part: String, timeout: Int = 900, isolation: isolated (any Actor)? = #isolation,
        _ body: () async throws -> Result
    ) async throws -> Result {
        let directory = directory + "/locks"
        try Files.makeDirectory(directory)
        let descriptor = open("\(directory)/\(part)", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw PreparationError(.systemFailed, "\(directory)/\(part) cannot be opened")
        }
        defer { close(descriptor) }
        let deadline = ContinuousClock.now + .seconds(timeout)
        // Closing the descriptor gives the lock back, also when the process is killed.
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
        return try await body()
    }
}
