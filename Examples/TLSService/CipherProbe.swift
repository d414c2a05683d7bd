//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import COpenSSL

/// Authenticated encryption with a tag that does not fit, as a client's message might carry it.
///
/// `EVP_Cipher` with no input means "final" and must check the tag. CVE-2026-75803: for AES-OCB it did not, and
/// said that all was well. AES-CCM did the same for an empty text; that was fixed without a CVE identifier.
struct CipherProbe {
    private let cipher: OpaquePointer?
    private let text: [UInt8]
    private let ivSize: Int32

    /// AES-128-OCB, with a text of a block and a bit.
    static var ocb: CipherProbe {
        CipherProbe(cipher: EVP_aes_128_ocb(), text: Array("wait until it moults".utf8), ivSize: 12)
    }

    /// AES-128-CCM. There the tag is checked together with the text, so only the empty text shows the hole.
    static var ccm: CipherProbe { CipherProbe(cipher: EVP_aes_128_ccm(), text: [], ivSize: 12) }

    private static let tagSize = 16
    private static let key: [UInt8] = Array(0x10..<0x20)
    private static let iv: [UInt8] = Array(0x30..<0x3c)

    /// Decrypts a message whose tag is wrong and ends with `EVP_Cipher(context, NULL, NULL, 0)`.
    /// - Returns: `accepted` (the hole) or `rejected`.
    func finalWithWrongTag() throws(ServiceError) -> String {
        let (sealed, tag) = try encrypt()
        return try final(sealed, tag: Self.spoiled(tag)) ? "accepted" : "rejected"
    }

    /// What must work with and without the fix: the right tag is accepted, and the text comes out; the wrong one is
    /// rejected by `EVP_DecryptFinal_ex` and, where it checks the tag, by `EVP_DecryptUpdate`.
    /// - Returns: `good`, or what was not.
    func legalUse() throws(ServiceError) -> String {
        let (sealed, tag) = try encrypt()
        if try decrypt(sealed, tag: tag) != text { return "bad: the right tag was rejected" }
        if try decrypt(sealed, tag: Self.spoiled(tag)) != nil { return "bad: a wrong tag was accepted" }
        // The CCM of the library has no final in EVP_Cipher before its fix; there is nothing legal to keep.
        if !text.isEmpty, try !final(sealed, tag: tag) { return "bad: the right tag was rejected by EVP_Cipher" }
        return "good"
    }

    private static func spoiled(_ tag: [UInt8]) -> [UInt8] { [tag[0] ^ 1] + tag.dropFirst() }

    private func final(_ sealed: [UInt8], tag: [UInt8]) throws(ServiceError) -> Bool {
        let context = try decryption(tag: tag)
        defer { EVP_CIPHER_CTX_free(context) }
        var output = [UInt8](repeating: 0, count: sealed.count + Self.tagSize)
        if !sealed.isEmpty {
            let count = EVP_Cipher(context, &output, sealed, UInt32(sealed.count))
            guard count == Int32(text.count) else { throw Self.failure("EVP_Cipher gave \(count)") }
        }
        return EVP_Cipher(context, nil, nil, 0) >= 0
    }

    private func decrypt(_ sealed: [UInt8], tag: [UInt8]) throws(ServiceError) -> [UInt8]? {
        let context = try decryption(tag: tag)
        defer { EVP_CIPHER_CTX_free(context) }
        var output = [UInt8](repeating: 0, count: sealed.count + Self.tagSize)
        var count: Int32 = 0
        var last: Int32 = 0
        guard EVP_DecryptUpdate(context, &output, &count, sealed, Int32(sealed.count)) == 1 else { return nil }
        // OCB keeps the last, incomplete block back.
        var rest = [UInt8](repeating: 0, count: Self.tagSize)
        guard EVP_DecryptFinal_ex(context, &rest, &last) == 1 else { return nil }
        return Array(output.prefix(Int(count)) + rest.prefix(Int(last)))
    }

    private func decryption(tag: [UInt8]) throws(ServiceError) -> OpaquePointer {
        guard let context = EVP_CIPHER_CTX_new() else { throw Self.failure("no memory") }
        var tag = tag
        guard EVP_DecryptInit_ex(context, cipher, nil, nil, nil) == 1,
            EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, ivSize, nil) == 1,
            EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(Self.tagSize), &tag) == 1,
            EVP_DecryptInit_ex(context, nil, nil, Self.key, Self.iv) == 1
        else {
            EVP_CIPHER_CTX_free(context)
            throw Self.failure("decryption cannot be set up")
        }
        return context
    }

    private func encrypt() throws(ServiceError) -> (sealed: [UInt8], tag: [UInt8]) {
        guard let context = EVP_CIPHER_CTX_new() else { throw Self.failure("no memory") }
        defer { EVP_CIPHER_CTX_free(context) }
        var sealed = [UInt8](repeating: 0, count: text.count + Self.tagSize)
        var rest = [UInt8](repeating: 0, count: Self.tagSize)
        var tag = [UInt8](repeating: 0, count: Self.tagSize)
        var count: Int32 = 0
        var last: Int32 = 0
        guard EVP_EncryptInit_ex(context, cipher, nil, nil, nil) == 1,
            EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, ivSize, nil) == 1,
            EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(Self.tagSize), nil) == 1,
            EVP_EncryptInit_ex(context, nil, nil, Self.key, Self.iv) == 1,
            EVP_EncryptUpdate(context, &sealed, &count, text, Int32(text.count)) == 1,
            EVP_EncryptFinal_ex(context, &rest, &last) == 1,
            EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(Self.tagSize), &tag) == 1
        else { throw Self.failure("encryption failed") }
        return (Array(sealed.prefix(Int(count)) + rest.prefix(Int(last))), tag)
    }

    private static func failure(_ reason: String) -> ServiceError { ServiceError(code: .library, reason: reason) }
}
