//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import COpenSSL

/// The server's TLS settings: TLS 1.3 only, one certificate.
///
/// `SSL_CTX` counts references and locks itself; `SSL_new` may be called on any thread.
struct TLSContext: @unchecked Sendable {
    private let context: OpaquePointer

    /// Reads certificate and key.
    init(certificate: String, key: String) throws(ServiceError) {
        guard let context = SSL_CTX_new(TLS_server_method()) else {
            throw ServiceError(code: .library, reason: "libssl made no context")
        }
        let lowest = SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(TLS1_3_VERSION), nil)
        guard lowest == 1, SSL_CTX_use_certificate_chain_file(context, certificate) == 1,
            SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1
        else {
            throw ServiceError(code: .library, reason: "\(certificate) and \(key) are no certificate and key")
        }
        self.context = context
    }

    /// A session over a connected socket, which it then owns; nil when there is no memory.
    func session(_ descriptor: Int32) -> Session? {
        guard let ssl = SSL_new(context), SSL_set_fd(ssl, descriptor) == 1 else { return nil }
        SSL_set_accept_state(ssl)
        return Session(ssl: ssl, descriptor: descriptor)
    }
}
