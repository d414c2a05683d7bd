//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Glibc

/// A listening socket on 127.0.0.1, not blocking, shared by all workers.
struct Listener: Sendable {
    /// The socket.
    let descriptor: Int32
    /// The port it is bound to.
    let port: UInt16

    /// Binds to `port`, or to a free one for 0.
    init(port: UInt16) throws(ServiceError) {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw ServiceError(code: .system, reason: "no socket can be made") }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(descriptor, generic, size) == 0 && listen(descriptor, 1024) == 0
                    && getsockname(descriptor, generic, &size) == 0
            }
        }
        guard bound, fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0 else {
            throw ServiceError(code: .system, reason: "port \(port) of 127.0.0.1 cannot be bound")
        }
        self.port = UInt16(bigEndian: address.sin_port)
    }

    /// Takes the next connection, or nil when there is none (another worker was quicker).
    func accept() -> Int32? {
        let connection = Glibc.accept(descriptor, nil, nil)
        guard connection >= 0 else { return nil }
        var on: Int32 = 1
        setsockopt(connection, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        guard fcntl(connection, F_SETFL, O_NONBLOCK) == 0 else {
            close(connection)
            return nil
        }
        return connection
    }
}
