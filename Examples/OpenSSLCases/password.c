//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Messages that are encrypted for a password (PasswordRecipientInfo, RFC 3211).

#include "message.h"

static unsigned char password[] = "not much of a secret";
static const unsigned char salt[8] = {1, 2, 3, 4, 5, 6, 7, 8};
enum { ROUNDS = 10 };

/// A message whose content key was wrapped in this way.
static CMS_ContentInfo *message_for_password(const char *cipher, const unsigned char *wrapped, size_t wrapped_size,
                                             int has_derivation) {
    struct parts parts;
    struct der *der = &parts.recipient;
    if (strcmp(encrypt_content(&parts, 0), "good") != 0) return NULL;
    der->count = 0;
    size_t outer = der_start(der);
    der_number(der, 0);
    if (has_derivation) {
        // PBKDF2-params (RFC 8018, appendix A.2).
        size_t algorithm = der_start(der);
        der_object(der, "1.2.840.113549.1.5.12");
        size_t inner = der_start(der);
        der_value(der, DER_OCTETS, salt, sizeof salt);
        der_number(der, ROUNDS);
        der_end(der, inner, DER_SEQUENCE);
        der_end(der, algorithm, DER_CONTEXT(0));
    }
    size_t algorithm = der_start(der);
    der_object(der, "1.2.840.113549.1.9.16.3.9");
    algorithm_with_octets(der, cipher, message_iv, BLOCK);
    der_end(der, algorithm, DER_SEQUENCE);
    der_value(der, DER_OCTETS, wrapped, wrapped_size);
    der_end(der, outer, DER_CONTEXT(3));
    return message_of(&parts);
}

static const char *open_with_password(CMS_ContentInfo *message) {
    if (CMS_decrypt_set1_password(message, password, sizeof password - 1) != 1) return "refused";
    return open_message(message, NULL, NULL);
}

/// Wraps the content key as RFC 3211, section 2.3.1, says, but with this byte for its size.
static const char *wrap(unsigned char size, unsigned char *wrapped) {
    unsigned char kek[16], plain[32] = {0};
    NEED(PKCS5_PBKDF2_HMAC_SHA1((char *)password, sizeof password - 1, salt, sizeof salt, ROUNDS, sizeof kek, kek)
         == 1);
    plain[0] = size;
    for (int i = 0; i < 3; i++) plain[1 + i] = (unsigned char)~content_key[i];
    memcpy(plain + 4, content_key, CONTENT_KEY);
    unsigned char once[32];
    NEED(encrypt_blocks_of("AES-128-CBC", kek, message_iv, plain, sizeof plain, once) == sizeof once);
    NEED(encrypt_blocks_of("AES-128-CBC", kek, once + 16, once, sizeof once, wrapped) == sizeof once);
    return "good";
}

const char *use_passwords(void) {
    unsigned char wrapped[32];
    NEED_GOOD(wrap(CONTENT_KEY, wrapped));
    OWNED(CMS_ContentInfo) by_hand = message_for_password(OID_AES_CBC, wrapped, sizeof wrapped, 1);
    NEED(by_hand != NULL && strcmp(open_with_password(by_hand), "accepted") == 0);
    // The library's own, which also wraps.
    OWNED(CMS_ContentInfo) message = new_message(EVP_aes_256_cbc());
    unsigned char *copy = OPENSSL_memdup(password, sizeof password - 1);
    NEED(message != NULL && copy != NULL);
    NEED(CMS_add0_recipient_password(message, ROUNDS, NID_undef, NID_undef, copy, sizeof password - 1,
                                     EVP_aes_128_cbc())
         != NULL);
    OWNED(CMS_ContentInfo) sent = sent_message(message);
    NEED(sent != NULL && strcmp(open_with_password(sent), "accepted") == 0);
    NEED(CMS_decrypt_set1_password(sent, (unsigned char *)"another one", -1) != 1);
    return "good";
}

// A cipher without blocks: two bytes are a wrapped key for it, and its seven first are looked at.
static const char *stream_cipher(void) {
    OWNED(CMS_ContentInfo) message = message_for_password(OID_AES_CFB, (const unsigned char *)"ab", 2, 1);
    NEED(message != NULL);
    return open_with_password(message);
}

// How the password becomes a key may be left out.
static const char *without_derivation(void) {
    unsigned char wrapped[32];
    NEED_GOOD(wrap(CONTENT_KEY, wrapped));
    OWNED(CMS_ContentInfo) message = message_for_password(OID_AES_CBC, wrapped, sizeof wrapped, 0);
    NEED(message != NULL);
    return open_with_password(message);
}

// A key that says to be as long as all of what it was wrapped into: four bytes of it lie behind.
static const char *long_key(void) {
    unsigned char wrapped[32];
    NEED_GOOD(wrap(32, wrapped));
    OWNED(CMS_ContentInfo) message = message_for_password(OID_AES_CBC, wrapped, sizeof wrapped, 1);
    NEED(message != NULL);
    return open_with_password(message);
}

const struct openssl_case password_cases[] = {
    {"CVE-2026-9076", use_passwords, stream_cipher, GUARDED_CHILD},
    {"CVE-2026-42766", use_passwords, without_derivation, CHILD},
    {"CVE-2025-9230", use_passwords, long_key, GUARDED_CHILD},
    {0},
};
