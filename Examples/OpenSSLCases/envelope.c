//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Encrypted messages whose content is authenticated (AuthEnvelopedData, RFC 5083), and those whose is not.

#include "message.h"
#include "identities.h"

static unsigned char shared_key[16] = {0x70, 0x71, 0x72, 0x73};

/// A recipient with the shared key (KEKRecipientInfo): the content key wrapped with it.
static const char *add_shared_key(struct parts *parts) {
    struct der *der = &parts->recipient;
    unsigned char wrapped[CONTENT_KEY + 16];
    size_t size = encrypt_blocks_of("AES-128-WRAP", shared_key, NULL, content_key, CONTENT_KEY, wrapped);
    NEED(size == CONTENT_KEY + 8);
    der->count = 0;
    size_t outer = der_start(der);
    der_number(der, 4);
    size_t identifier = der_start(der);
    der_value(der, DER_OCTETS, "id", 2);
    der_end(der, identifier, DER_SEQUENCE);
    der_algorithm(der, OID_AES_WRAP);
    der_value(der, DER_OCTETS, wrapped, size);
    der_end(der, outer, DER_CONTEXT(2));
    return "good";
}

static const char *open_with_shared_key(CMS_ContentInfo *message) {
    unsigned char *copy = OPENSSL_memdup(shared_key, sizeof shared_key);
    if (CMS_decrypt_set1_key(message, copy, sizeof shared_key, NULL, 0) != 1) {
        OPENSSL_free(copy);
        return "refused";
    }
    OPENSSL_free(copy);
    return open_message(message, NULL, NULL);
}

static const char *open_parts(const struct parts *parts) {
    OWNED(CMS_ContentInfo) message = message_of(parts);
    NEED(message != NULL);
    return open_with_shared_key(message);
}

/// By the library: encrypted for the shared key, with this cipher.
static const char *round_trip(const EVP_CIPHER *cipher) {
    unsigned char *key = OPENSSL_memdup(shared_key, sizeof shared_key), *id = OPENSSL_memdup("id", 2);
    OWNED(CMS_ContentInfo) message = new_message(cipher);
    NEED(message != NULL && key != NULL && id != NULL);
    NEED(CMS_add0_recipient_key(message, NID_undef, key, sizeof shared_key, id, 2, NULL, NULL, NULL) != NULL);
    OWNED(CMS_ContentInfo) sent = sent_message(message);
    NEED(sent != NULL && strcmp(open_with_shared_key(sent), "accepted") == 0);
    return "good";
}

/// EncryptedData, which has no recipients.
static const char *encrypted_data(void) {
    OWNED(BIO) input = BIO_new_mem_buf(message_text, (int)strlen(message_text));
    OWNED(BIO) output = BIO_new(BIO_s_mem());
    OWNED(CMS_ContentInfo) message =
        CMS_EncryptedData_encrypt(input, EVP_aes_128_cbc(), content_key, CONTENT_KEY, CMS_BINARY);
    NEED(message != NULL);
    NEED(CMS_EncryptedData_decrypt(message, content_key, CONTENT_KEY, NULL, output, 0) == 1);
    NEED(holds(output, message_text));
    return "good";
}

const char *use_envelopes(void) {
    struct parts parts;
    NEED_GOOD(add_shared_key(&parts));
    for (int is_gcm = 0; is_gcm < 2; is_gcm++) {
        NEED_GOOD(encrypt_content(&parts, is_gcm));
        NEED(strcmp(open_parts(&parts), "accepted") == 0);
    }
    // A wrong code is refused.
    parts.tag[0] ^= 1;
    NEED(strcmp(open_parts(&parts), "accepted") != 0);
    NEED_GOOD(round_trip(EVP_aes_128_cbc()));
    NEED_GOOD(round_trip(EVP_aes_256_gcm()));
    return encrypted_data();
}

// One byte of the authentication code is enough, and so is none with a cipher that has none.
static const char *forged_code(void) {
    struct parts parts;
    NEED_GOOD(add_shared_key(&parts));
    NEED_GOOD(encrypt_content(&parts, 1));
    parts.tag_size = 1;
    const char *is_short = open_parts(&parts);
    NEED_GOOD(encrypt_content(&parts, 0));
    parts.tag_size = 16;
    const char *is_cbc = open_parts(&parts);
    return strcmp(is_short, is_cbc) == 0 ? is_short : "half";
}

// A nonce of 200 bytes, where the library has room for 16.
static const char *long_nonce(void) {
    struct parts parts;
    unsigned char nonce[200];
    memset(nonce, 'n', sizeof nonce);
    NEED_GOOD(add_shared_key(&parts));
    NEED_GOOD(encrypt_content(&parts, 1));
    parts.algorithm.count = 0;
    size_t start = der_start(&parts.algorithm);
    der_object(&parts.algorithm, OID_AES_GCM);
    size_t inner = der_start(&parts.algorithm);
    der_value(&parts.algorithm, DER_OCTETS, nonce, sizeof nonce);
    der_number(&parts.algorithm, 16);
    der_end(&parts.algorithm, inner, DER_SEQUENCE);
    der_end(&parts.algorithm, start, DER_SEQUENCE);
    return open_parts(&parts);
}

const struct openssl_case envelope_cases[] = {
    {"CVE-2026-34182", use_envelopes, forged_code, HERE},
    {"CVE-2025-15467", use_envelopes, long_nonce, CHILD},
    {0},
};
