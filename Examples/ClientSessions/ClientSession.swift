//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import COpenSSL
internal import Glibc

/// An open TLS session, blocking with a time limit. Used on one thread only.
struct ClientSession: ~Copyable {
    private let ssl: OpaquePointer
    private let descriptor: Int32
    private var received: [UInt8] = []

    /// Takes over both.
    init(ssl: OpaquePointer, descriptor: Int32) {
        self.ssl = ssl
        self.descriptor = descriptor
    }

    deinit {
        SSL_free(ssl)
        close(descriptor)
    }

    /// Sends a text.
    mutating func send(_ text: String) throws(ClientError) {
        let bytes = Array(text.utf8)
        ERR_clear_error()
        guard SSL_write(ssl, bytes, Int32(bytes.count)) == Int32(bytes.count) else { throw broken("write") }
    }

    /// Receives up to and with `end`, and gives what stood before it.
    mutating func receive(until end: String) throws(ClientError) -> String {
        let end = Array(end.utf8)
        while true {
            if let range = received.firstRange(of: end) {
                let text = String(decoding: received[..<range.lowerBound], as: UTF8.self)
                received.removeSubrange(..<range.upperBound)
                return text
            }
            try fill()
        }
    }

    /// Receives `count` bytes.
    mutating func receive(count: Int) throws(ClientError) -> [UInt8] {
        while received.count < count { try fill() }
        let bytes = Array(received.prefix(count))
        received.removeFirst(count)
        return bytes
    }

    private mutating func fill() throws(ClientError) {
        var buffer = [UInt8](repeating: 0, count: 16 * 1024)
        ERR_clear_error()
        let count = SSL_read(ssl, &buffer, Int32(buffer.count))
        guard count > 0 else { throw broken("read") }
        received += buffer.prefix(Int(count))
    }

    private func broken(_ what: String) -> ClientError {
        ClientError(code: .session, reason: "the session ended in a \(what) (errno \(errno))")
    }
}
