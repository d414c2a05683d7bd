//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import COpenSSL

/// Messages of the Certificate Management Protocol (RFC 4210), as a registration authority gets them from anyone
/// who can reach it.
struct ManagementProbe {
    /// A certificate, DER.
    let certificate: [UInt8]

    private static let secret = Array("not much of a secret".utf8)
    /// `id-PasswordBasedMac`, 1.2.840.113533.7.66.13.
    private static let passwordBasedMAC = DER.object([0x2a, 0x86, 0x48, 0x86, 0xf6, 0x7d, 0x07, 0x42, 0x0d])

    /// Validates a message whose protection is right but whose algorithm parameter is an octet string where only
    /// a sequence is allowed. CVE-2026-63076: the type was not looked at; with other types than this harmless one
    /// the library read through a wild pointer.
    /// - Returns: `accepted` (the hole) or `rejected`.
    func wronglyTypedParameter() throws(ServiceError) -> String {
        let message = try protected(parameter: DER.octets(try parameters()))
        return try validate(message) ? "accepted" : "rejected"
    }

    /// A message that is right must be accepted, with and without the fixes.
    /// - Returns: `good`, or what was not.
    func legalUse() throws(ServiceError) -> String {
        let message = try protected(parameter: try parameters())
        return try validate(message) ? "good" : "bad: a right message was rejected"
    }

    /// Sends an unprotected message that carries a certificate to a server. CVE-2026-63074: the server refused the
    /// message but kept the certificate, so that anyone could fill its memory.
    /// - Returns: `kept N`: how many certificates of the refused message the server still holds (0 is right).
    func certificatesKept() throws(ServiceError) -> String {
        guard let server = OSSL_CMP_SRV_CTX_new(nil, nil) else { throw Self.failure("no CMP server context") }
        defer { OSSL_CMP_SRV_CTX_free(server) }
        guard let context = OSSL_CMP_SRV_CTX_get0_cmp_ctx(server) else { throw Self.failure("no CMP context") }
        Self.silence(context)
        let extra = DER.explicit(1, DER.sequence(certificate))
        let message = try decode(DER.sequence(header(protection: []), Self.body, extra))
        defer { OSSL_CMP_MSG_free(message) }
        OSSL_CMP_MSG_free(OSSL_CMP_SRV_process_request(server, message))
        ERR_clear_error()
        return "kept \(max(0, OPENSSL_sk_num(OSSL_CMP_CTX_get0_untrusted(context))))"
    }

    // MARK: - Writing messages

    /// A general message (body 21) that asks for nothing.
    private static var body: [UInt8] { DER.explicit(21, DER.sequence()) }

    private func header(protection algorithm: [UInt8]) -> [UInt8] {
        let anyone = DER.explicit(4, DER.sequence())
        let protection = algorithm.isEmpty ? [] : DER.explicit(1, algorithm)
        let transaction = DER.explicit(4, DER.octets(Array(repeating: 7, count: 16)))
        let nonce = DER.explicit(5, DER.octets(Array(repeating: 9, count: 16)))
        return DER.sequence(DER.integer(2), anyone, anyone, protection, transaction, nonce)
    }

    /// A message with a protection that fits the secret, whatever the parameter's type.
    private func protected(parameter: [UInt8]) throws(ServiceError) -> [UInt8] {
        let header = header(protection: DER.sequence(Self.passwordBasedMAC, parameter))
        let protection = DER.explicit(0, DER.bits(try mac(DER.sequence(header, Self.body))))
        return DER.sequence(header, Self.body, protection)
    }

    /// `PBMParameter` (RFC 4211, section 4.4), always the same.
    private func parameters() throws(ServiceError) -> [UInt8] {
        // sha256, and hmacWithSHA256.
        let hash = DER.sequence(DER.object([0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01]))
        let mac = DER.sequence(DER.object([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x09]))
        return DER.sequence(DER.octets(Array(repeating: 3, count: 16)), hash, DER.integer(100), mac)
    }

    private func mac(_ bytes: [UInt8]) throws(ServiceError) -> [UInt8] {
        let encoded = try parameters()
        let parameters = encoded.withUnsafeBufferPointer { buffer in
            var start = buffer.baseAddress
            return d2i_OSSL_CRMF_PBMPARAMETER(nil, &start, encoded.count)
        }
        defer { OSSL_CRMF_PBMPARAMETER_free(parameters) }
        var mac: UnsafeMutablePointer<UInt8>?
        var size = 0
        let made = OSSL_CRMF_pbm_new(
            nil, nil, parameters, bytes, bytes.count, Self.secret, Self.secret.count, &mac, &size)
        guard made == 1, let mac else { throw Self.failure("no MAC was made") }
        defer { CRYPTO_free(mac, nil, 0) }
        return Array(UnsafeBufferPointer(start: mac, count: size))
    }

    // MARK: - Reading messages

    private func decode(_ message: [UInt8]) throws(ServiceError) -> OpaquePointer {
        let decoded = message.withUnsafeBufferPointer { buffer in
            var start = buffer.baseAddress
            return d2i_OSSL_CMP_MSG(nil, &start, message.count)
        }
        guard let decoded else { throw Self.failure("the message cannot be read") }
        return decoded
    }

    private func validate(_ message: [UInt8]) throws(ServiceError) -> Bool {
        let message = try decode(message)
        defer { OSSL_CMP_MSG_free(message) }
        guard let context = OSSL_CMP_CTX_new(nil, nil) else { throw Self.failure("no CMP context") }
        defer { OSSL_CMP_CTX_free(context) }
        Self.silence(context)
        guard OSSL_CMP_CTX_set1_secretValue(context, Self.secret, Int32(Self.secret.count)) == 1 else {
            throw Self.failure("no secret can be set")
        }
        defer { ERR_clear_error() }
        return OSSL_CMP_validate_msg(context, message) == 1
    }

    /// Keeps the library from writing its log to standard output.
    private static func silence(_ context: OpaquePointer) {
        OSSL_CMP_CTX_set_log_cb(context) { _, _, _, _, _ in 1 }
    }

    private static func failure(_ reason: String) -> ServiceError { ServiceError(code: .library, reason: reason) }
}
