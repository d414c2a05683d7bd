//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import COpenSSL
internal import Glibc

/// The client's TLS settings: one certificate is trusted, and it must be named `localhost`.
///
/// `SSL_CTX` counts references and locks itself; `SSL_new` may be called on any thread.
struct ClientContext: @unchecked Sendable {
    private let context: OpaquePointer

    /// Trusts the certificate in a PEM file, and no other.
    init(certificate: String) throws(ClientError) {
        guard let context = SSL_CTX_new(TLS_client_method()),
            SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(TLS1_3_VERSION), nil) == 1,
            SSL_CTX_load_verify_locations(context, certificate, nil) == 1
        else { throw ClientError(code: .connect, reason: "\(certificate) is no certificate") }
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        self.context = context
    }

    /// Opens a session to a port of 127.0.0.1.
    func connect(port: UInt16) throws(ClientError) -> ClientSession {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw ClientError(code: .connect, reason: "no socket can be made") }
        // Late is a failure too: a server that stands still must not be mistaken for one that is idle.
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0, let ssl = SSL_new(context), SSL_set_fd(ssl, descriptor) == 1,
            SSL_set1_host(ssl, "localhost") == 1
        else {
            close(descriptor)
            throw ClientError(code: .connect, reason: "port \(port) of 127.0.0.1 takes no connection")
        }
        let session = ClientSession(ssl: ssl, descriptor: descriptor)
        guard SSL_connect(ssl) == 1 else {
            throw ClientError(code: .connect, reason: "port \(port) of 127.0.0.1 makes no TLS session")
        }
        return session
    }
}
