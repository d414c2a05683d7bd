//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import COpenSSL
import Glibc

/// One TLS session: reads lines, answers each with a line. Belongs to one worker.
struct Session: ~Copyable {
    /// The connected socket.
    let descriptor: Int32
    private let ssl: OpaquePointer
    private var line: [UInt8] = []
    private static let longestLine = 4096

    /// Takes over both.
    init(ssl: OpaquePointer, descriptor: Int32) {
        self.ssl = ssl
        self.descriptor = descriptor
    }

    deinit {
        SSL_free(ssl)
        close(descriptor)
    }

    /// Does all that can be done without waiting for the client.
    /// - Returns: false when the session is over.
    mutating func advance(_ commands: Commands) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            ERR_clear_error()
            let count = SSL_read(ssl, &buffer, Int32(buffer.count))
            if count <= 0 {
                switch SSL_get_error(ssl, count) {
                case SSL_ERROR_WANT_READ: return true
                case SSL_ERROR_WANT_WRITE:
                    if !waitUntilWritable() { return false }
                    continue
                default: return false
                }
            }
            for byte in buffer.prefix(Int(count)) {
                guard byte == UInt8(ascii: "\n") else {
                    line.append(byte)
                    if line.count > Self.longestLine { return false }
                    continue
                }
                let answer = commands.answer(String(decoding: line, as: UTF8.self))
                line.removeAll(keepingCapacity: true)
                if !write(Array((answer + "\n").utf8)) { return false }
            }
        }
    }

    private func write(_ bytes: [UInt8]) -> Bool {
        while true {
            ERR_clear_error()
            let count = SSL_write(ssl, bytes, Int32(bytes.count))
            if count > 0 { return true }
            guard SSL_get_error(ssl, count) == SSL_ERROR_WANT_WRITE, waitUntilWritable() else { return false }
        }
    }

    private func waitUntilWritable() -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        return poll(&entry, 1, 10_000) == 1
    }
}
