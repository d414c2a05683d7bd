//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import COpenSSL
import Glibc

/// A certificate that comes encrypted (`EncryptedValue`, RFC 4211, section 2.1), as a certification authority
/// answers.
///
/// CVE-2026-42767: when the cipher's parameter (the IV) is missing, the library reads through a null pointer. That
/// ends the process, so the probe is made in a child that is forked for it and is thus, patch or no patch, in the
/// state that this process is in.
struct EncryptedValueProbe {
    /// A certificate, DER.
    let certificate: [UInt8]

    private static let key: [UInt8] = Array(0x40..<0x50)
    private static let iv: [UInt8] = Array(0x60..<0x70)
    /// aes-128-cbc, 2.16.840.1.101.3.4.1.2.
    private static let cipher = DER.object([0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x02])

    /// Reads a value whose cipher has no parameter, in a child.
    /// - Returns: `crashed` (the hole) or `refused`.
    func withoutParameter() throws(ServiceError) -> String {
        let value = try encoded(parameter: [])
        let privateKey = try Self.privateKey.get()
        // Another thread may have held one of the library's locks when the child was forked; then the child waits
        // for ever, is ended by its alarm, and the next one is tried.
        for _ in 0..<5 {
            let child = fork()
            if child == 0 {
                signal(SIGSEGV, SIG_DFL)
                var none = rlimit()
                setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
                alarm(2)
                _exit(Self.open(value, privateKey) ? 1 : 0)
            }
            guard child > 0 else { throw Self.failure("no child can be forked") }
            var status: Int32 = 0
            while waitpid(child, &status, 0) < 0 && errno == EINTR {}
            switch status {
            case 0: return "refused"
            case SIGSEGV, SIGBUS: return "crashed"
            case SIGALRM: continue
            default: throw Self.failure("the child ended with status \(status)")
            }
        }
        throw Self.failure("the child was never free to run")
    }

    /// A value that is right must be opened, with and without the fix.
    /// - Returns: `good`, or what was not.
    func legalUse() throws(ServiceError) -> String {
        let value = try encoded(parameter: DER.octets(Self.iv))
        return Self.open(value, try Self.privateKey.get()) ? "good" : "bad: a right value was refused"
    }

    /// Decodes and decrypts; true when a certificate comes out.
    private static func open(_ value: [UInt8], _ key: PrivateKey) -> Bool {
        let decoded = value.withUnsafeBufferPointer { buffer in
            var start = buffer.baseAddress
            return d2i_OSSL_CRMF_ENCRYPTEDVALUE(nil, &start, value.count)
        }
        guard let decoded else { return false }
        defer { OSSL_CRMF_ENCRYPTEDVALUE_free(decoded) }
        guard let opened = OSSL_CRMF_ENCRYPTEDVALUE_get1_encCert(decoded, nil, nil, key.pointer) else {
            ERR_clear_error()
            return false
        }
        X509_free(opened)
        return true
    }

    private func encoded(parameter: [UInt8]) throws(ServiceError) -> [UInt8] {
        let algorithm = Self.cipher + parameter
        return DER.sequence(
            DER.explicit(1, algorithm),
            DER.implicit(2, [0] + (try encryptedKey())),
            DER.bits(try encryptedCertificate()))
    }

    private func encryptedKey() throws(ServiceError) -> [UInt8] {
        let context = EVP_PKEY_CTX_new(try Self.privateKey.get().pointer, nil)
        defer { EVP_PKEY_CTX_free(context) }
        var size = 1024
        var bytes = [UInt8](repeating: 0, count: size)
        guard EVP_PKEY_encrypt_init(context) == 1,
            EVP_PKEY_encrypt(context, &bytes, &size, Self.key, Self.key.count) == 1
        else { throw Self.failure("the key cannot be encrypted") }
        return Array(bytes.prefix(size))
    }

    private func encryptedCertificate() throws(ServiceError) -> [UInt8] {
        let context = EVP_CIPHER_CTX_new()
        defer { EVP_CIPHER_CTX_free(context) }
        var output = [UInt8](repeating: 0, count: certificate.count + 16)
        var rest = [UInt8](repeating: 0, count: 16)
        var count: Int32 = 0
        var last: Int32 = 0
        guard EVP_EncryptInit_ex(context, EVP_aes_128_cbc(), nil, Self.key, Self.iv) == 1,
            EVP_EncryptUpdate(context, &output, &count, certificate, Int32(certificate.count)) == 1,
            EVP_EncryptFinal_ex(context, &rest, &last) == 1
        else { throw Self.failure("the certificate cannot be encrypted") }
        return Array(output.prefix(Int(count)) + rest.prefix(Int(last)))
    }

    // MARK: - The key

    /// An `EVP_PKEY`: never changed once made, and so usable on any thread.
    private struct PrivateKey: @unchecked Sendable {
        let pointer: OpaquePointer
    }

    /// An RSA key, made at first use.
    private static let privateKey: Result<PrivateKey, ServiceError> = {
        let context = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, nil)
        defer { EVP_PKEY_CTX_free(context) }
        var key: OpaquePointer?
        guard EVP_PKEY_keygen_init(context) == 1, EVP_PKEY_CTX_set_rsa_keygen_bits(context, 2048) == 1,
            EVP_PKEY_keygen(context, &key) == 1, let key
        else { return .failure(failure("no RSA key can be made")) }
        return .success(PrivateKey(pointer: key))
    }()

    private static func failure(_ reason: String) -> ServiceError { ServiceError(code: .library, reason: reason) }
}
