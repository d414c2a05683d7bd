//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import Glibc

/// Whole files, read into memory that nobody else changes: a mapped file that is cut short meanwhile would end
/// the process with SIGBUS.
package enum FileContents {
    /// Reads a file.
    /// - Parameters:
    ///   - path: Its path.
    ///   - limit: How many bytes it may have.
    /// - Throws: `Failure` with `file-unreadable`.
    package static func read(_ path: String, limit: Int) throws(Failure) -> [UInt8] {
        // O_NONBLOCK: a pipe that nobody writes into must not hold us up.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw unreadable(path, errno) }
        defer { close(descriptor) }
        var information = stat()
        guard unsafe fstat(descriptor, &information) == 0 else { throw unreadable(path, errno) }
        guard information.st_mode & S_IFMT == S_IFREG else {
            throw unreadable(path, "it is not a regular file")
        }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes { buffer in
                unsafe Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw unreadable(path, errno)
            }
            if count == 0 { return bytes }
            bytes.append(contentsOf: buffer[..<count])
            guard bytes.count <= limit else { throw unreadable(path, "it has more than \(limit) bytes") }
        }
    }

    private static func unreadable(_ path: String, _ error: Int32) -> Failure {
        unreadable(path, unsafe String(cString: strerror(error)))
    }

    private static func unreadable(_ path: String, _ why: String) -> Failure {
        Failure(
            reason: "file-unreadable", message: "\(path) cannot be read: \(why)",
            remedy: "Check the path and the permissions of the file.")
    }
}
