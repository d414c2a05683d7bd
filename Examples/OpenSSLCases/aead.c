//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Authenticated encryption: wrong tags that are accepted, an IV and bytes that are left out.

#include "case.h"
#include <openssl/modes.h>

enum { TAG = 16, IV = 12 };
static const unsigned char key[32] = {0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a};
static const unsigned char iv[IV] = {0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x3b};
static const unsigned char other_iv[IV] = {0x50, 0x51, 0x52};
// Two blocks and a bit: the last part is another path of each cipher.
static const unsigned char text[40] = "wait until it moults, then fly away";

struct sealed {
    unsigned char bytes[sizeof text];
    size_t count;
    unsigned char tag[TAG];
};

/// A context with key and IV, and for decryption with the tag.
static EVP_CIPHER_CTX *context_for(const char *name, int encrypts, const unsigned char *nonce, unsigned char *tag) {
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    OWNED(EVP_CIPHER) cipher = EVP_CIPHER_fetch(NULL, name, NULL);
    if (EVP_CipherInit_ex(context, cipher, NULL, NULL, NULL, encrypts) == 1
        && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, IV, NULL) == 1
        && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG, tag) == 1
        && EVP_CipherInit_ex(context, NULL, NULL, key, nonce, encrypts) == 1)
        return context;
    EVP_CIPHER_CTX_free(context);
    return NULL;
}

/// Encrypts the first `count` bytes of the text by updates.
static const char *seal(const char *name, size_t count, struct sealed *sealed) {
    OWNED(EVP_CIPHER_CTX) context = context_for(name, 1, iv, NULL);
    int first = 0, last = 0;
    NEED(context != NULL);
    sealed->count = count;
    NEED(EVP_EncryptUpdate(context, sealed->bytes, &first, text, (int)count) == 1);
    NEED(EVP_EncryptFinal_ex(context, sealed->bytes + first, &last) == 1);
    NEED((size_t)(first + last) == count);
    NEED(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG, sealed->tag) == 1);
    return "good";
}

/// Decrypts by updates: 1 and the text, or 0 if the tag does not fit.
static int unseal(const char *name, struct sealed *sealed, unsigned char *output) {
    OWNED(EVP_CIPHER_CTX) context = context_for(name, 0, iv, sealed->tag);
    int first = 0, last = 0;
    return context != NULL && EVP_DecryptUpdate(context, output, &first, sealed->bytes, (int)sealed->count) == 1
        && EVP_DecryptFinal_ex(context, output + first, &last) == 1 && (size_t)(first + last) == sealed->count;
}

/// The right tag is accepted and the text comes out; a wrong one is rejected.
static const char *round_trip(const char *name, size_t count) {
    struct sealed sealed;
    unsigned char output[sizeof text + TAG];
    NEED_GOOD(seal(name, count, &sealed));
    NEED(unseal(name, &sealed, output) && memcmp(output, text, count) == 0);
    sealed.tag[0] ^= 1;
    NEED(!unseal(name, &sealed, output));
    return "good";
}

/// Decrypts a message and ends it by EVP_Cipher, whose call without input means "final" and must check the tag.
static const char *final_by_cipher(const char *name, size_t count, int spoils_tag) {
    struct sealed sealed;
    unsigned char output[sizeof text + TAG];
    NEED_GOOD(seal(name, count, &sealed));
    sealed.tag[0] ^= (unsigned char)spoils_tag;
    OWNED(EVP_CIPHER_CTX) context = context_for(name, 0, iv, sealed.tag);
    NEED(context != NULL);
    // By an update: EVP_Cipher with data is another case (CVE-2026-45445). Whole blocks: nothing is left for the final.
    int done = 0;
    if (count != 0) NEED(EVP_DecryptUpdate(context, output, &done, sealed.bytes, (int)count) == 1);
    return EVP_Cipher(context, NULL, NULL, 0) >= 0 ? "accepted" : "rejected";
}

static const char *ocb_final(void) { return final_by_cipher("AES-128-OCB", 32, 1); }

// A right tag is accepted where final checks it, and where it does not yet.
static const char *ocb_final_legal(void) {
    NEED(strcmp(final_by_cipher("AES-128-OCB", 32, 0), "accepted") == 0);
    return round_trip("AES-128-OCB", sizeof text);
}

// CCM checks the tag together with the text, so only the empty text shows the hole.
static const char *ccm_final(void) { return final_by_cipher("AES-128-CCM", 0, 1); }

// The CCM of the library has no final in EVP_Cipher before its fix: there is nothing legal to keep.
static const char *ccm_legal(void) {
    NEED_GOOD(round_trip("AES-128-CCM", 0));
    NEED_GOOD(round_trip("AES-128-CCM", sizeof text));
    struct sealed sealed;
    unsigned char output[sizeof text + TAG];
    NEED_GOOD(seal("AES-128-CCM", sizeof text, &sealed));
    OWNED(EVP_CIPHER_CTX) context = context_for("AES-128-CCM", 0, iv, sealed.tag);
    NEED(context != NULL);
    NEED(EVP_Cipher(context, output, sealed.bytes, sizeof text) == (int)sizeof text);
    NEED(memcmp(output, text, sizeof text) == 0);
    return "good";
}

/// Encrypts by EVP_Cipher, with no update before it.
static const char *encrypt_at_once(const unsigned char *nonce, unsigned char *output) {
    OWNED(EVP_CIPHER_CTX) context = context_for("AES-128-OCB", 1, nonce, NULL);
    NEED(context != NULL);
    // Whole blocks only: what follows them is another hole (CVE-2025-69418).
    NEED(EVP_Cipher(context, output, text, 32) >= 0);
    return "good";
}

static const char *ocb_iv(void) {
    unsigned char first[sizeof text], second[sizeof text];
    NEED_GOOD(encrypt_at_once(iv, first));
    NEED_GOOD(encrypt_at_once(other_iv, second));
    return memcmp(first, second, 32) == 0 ? "iv ignored" : "iv used";
}

static const char *ocb_iv_legal(void) {
    unsigned char first[sizeof text], again[sizeof text];
    NEED_GOOD(encrypt_at_once(iv, first));
    NEED_GOOD(encrypt_at_once(iv, again));
    NEED(memcmp(first, again, 32) == 0);
    return round_trip("AES-128-OCB", sizeof text);
}

/// AES-128-SIV: one message after the other with the same context; the second has no text and this tag.
static const char *siv_messages(const unsigned char *second_tag) {
    static unsigned char header[] = "header", other[] = "another header";
    unsigned char sealed[sizeof text], output[sizeof text], tag[TAG];
    int count;
    OWNED(EVP_CIPHER) siv = EVP_CIPHER_fetch(NULL, "AES-128-SIV", NULL);
    OWNED(EVP_CIPHER_CTX) writer = EVP_CIPHER_CTX_new();
    NEED(EVP_EncryptInit_ex(writer, siv, NULL, key, NULL) == 1);
    NEED(EVP_EncryptUpdate(writer, NULL, &count, header, sizeof header) == 1);
    NEED(EVP_EncryptUpdate(writer, sealed, &count, text, sizeof text) == 1);
    NEED(EVP_EncryptFinal_ex(writer, output, &count) == 1);
    NEED(EVP_CIPHER_CTX_ctrl(writer, EVP_CTRL_AEAD_GET_TAG, TAG, tag) == 1);
    OWNED(EVP_CIPHER_CTX) reader = EVP_CIPHER_CTX_new();
    NEED(EVP_DecryptInit_ex(reader, siv, NULL, key, NULL) == 1);
    NEED(EVP_CIPHER_CTX_ctrl(reader, EVP_CTRL_AEAD_SET_TAG, TAG, tag) == 1);
    NEED(EVP_DecryptUpdate(reader, NULL, &count, header, sizeof header) == 1);
    NEED(EVP_DecryptUpdate(reader, output, &count, sealed, sizeof text) == 1);
    NEED(EVP_DecryptFinal_ex(reader, output, &count) == 1);
    NEED(memcmp(output, text, sizeof text) == 0);
    if (second_tag == NULL) return "good";
    memcpy(tag, second_tag, TAG);
    NEED(EVP_DecryptInit_ex(reader, NULL, NULL, NULL, NULL) == 1);
    NEED(EVP_CIPHER_CTX_ctrl(reader, EVP_CTRL_AEAD_SET_TAG, TAG, tag) == 1);
    NEED(EVP_DecryptUpdate(reader, NULL, &count, other, sizeof other) == 1);
    return EVP_DecryptFinal_ex(reader, output, &count) == 1 ? "accepted" : "rejected";
}

static const char *siv_reuse(void) {
    static const unsigned char none[TAG];
    return siv_messages(none);
}

static const char *siv_legal(void) { return siv_messages(NULL); }

// The mode by itself (openssl/modes.h), with a block cipher and a function for many blocks that are ours: what the
// processor's own instructions would do is done on any processor.
static void block(const unsigned char in[16], unsigned char out[16], const void *cipher_key) {
    // Any permutation does for a mode.
    unsigned char turned[16];
    for (int i = 0; i < 16; i++)
        turned[(i * 5 + 3) % 16] = (unsigned char)((in[i] << 3 | in[i] >> 5) ^ ((const unsigned char *)cipher_key)[i]);
    memcpy(out, turned, 16);
}

static void unblock(const unsigned char in[16], unsigned char out[16], const void *cipher_key) {
    unsigned char turned[16];
    for (int i = 0; i < 16; i++) {
        unsigned char byte = in[(i * 5 + 3) % 16] ^ ((const unsigned char *)cipher_key)[i];
        turned[i] = (unsigned char)(byte >> 3 | byte << 5);
    }
    memcpy(out, turned, 16);
}

// RFC 7253, section 4.2, for whole blocks.
static void blocks(const unsigned char *in, unsigned char *out, size_t count, const void *cipher_key, size_t start,
                   unsigned char offset[16], const unsigned char l[][16], unsigned char checksum[16], int encrypts) {
    for (size_t number = start; number < start + count; number++, in += 16, out += 16) {
        unsigned char mixed[16];
        for (int i = 0; i < 16; i++) offset[i] ^= l[__builtin_ctzl(number)][i];
        if (encrypts)
            for (int i = 0; i < 16; i++) checksum[i] ^= in[i];
        for (int i = 0; i < 16; i++) mixed[i] = in[i] ^ offset[i];
        if (encrypts)
            block(mixed, mixed, cipher_key);
        else
            unblock(mixed, mixed, cipher_key);
        for (int i = 0; i < 16; i++) out[i] = mixed[i] ^ offset[i];
        if (!encrypts)
            for (int i = 0; i < 16; i++) checksum[i] ^= out[i];
    }
}

static void encrypt_blocks(const unsigned char *in, unsigned char *out, size_t count, const void *cipher_key,
                           size_t start, unsigned char offset[16], const unsigned char l[][16],
                           unsigned char checksum[16]) {
    blocks(in, out, count, cipher_key, start, offset, l, checksum, 1);
}

static void decrypt_blocks(const unsigned char *in, unsigned char *out, size_t count, const void *cipher_key,
                           size_t start, unsigned char offset[16], const unsigned char l[][16],
                           unsigned char checksum[16]) {
    blocks(in, out, count, cipher_key, start, offset, l, checksum, 0);
}

/// The text at once, or first its whole blocks and then the rest, with the tag.
static const char *ocb_mode(const unsigned char *in, unsigned char *out, unsigned char *tag, int encrypts,
                            int at_once) {
    int (*run)(OCB128_CONTEXT *, const unsigned char *, unsigned char *, size_t) =
        encrypts ? CRYPTO_ocb128_encrypt : CRYPTO_ocb128_decrypt;
    OCB128_CONTEXT *context = CRYPTO_ocb128_new((void *)key, (void *)key, block, unblock,
                                                encrypts ? encrypt_blocks : decrypt_blocks);
    NEED(context != NULL);
    int is_done = CRYPTO_ocb128_setiv(context, iv, IV, TAG) == 1
        && (at_once ? run(context, in, out, sizeof text) == 1
                    : run(context, in, out, 32) == 1 && run(context, in + 32, out + 32, sizeof text - 32) == 1)
        && CRYPTO_ocb128_tag(context, tag, TAG) == 1;
    CRYPTO_ocb128_cleanup(context);
    OPENSSL_free(context);
    NEED(is_done);
    return "good";
}

static const char *ocb_rest(void) {
    unsigned char in_parts[sizeof text], at_once[sizeof text] = {0}, output[sizeof text] = {0};
    unsigned char tag[TAG], other[TAG];
    NEED_GOOD(ocb_mode(text, in_parts, tag, 1, 0));
    NEED_GOOD(ocb_mode(text, at_once, other, 1, 1));
    NEED_GOOD(ocb_mode(in_parts, output, other, 0, 1));
    // The rest, behind the whole blocks, must be encrypted, and decrypted.
    int encrypts = memcmp(at_once + 32, in_parts + 32, sizeof text - 32) == 0;
    int decrypts = memcmp(output + 32, text + 32, sizeof text - 32) == 0;
    return encrypts && decrypts ? "rest encrypted" : !encrypts && !decrypts ? "rest left out" : "half";
}

static const char *ocb_rest_legal(void) {
    unsigned char sealed[sizeof text], output[sizeof text], tag[TAG], other[TAG];
    NEED_GOOD(ocb_mode(text, sealed, tag, 1, 0));
    NEED_GOOD(ocb_mode(sealed, output, other, 0, 0));
    NEED(memcmp(output, text, sizeof text) == 0 && memcmp(tag, other, TAG) == 0);
    return round_trip("AES-128-OCB", sizeof text);
}

const struct openssl_case aead_cases[] = {
    {"CVE-2026-75803", ocb_final_legal, ocb_final, HERE},
    {"ccm-final-tag", ccm_legal, ccm_final, HERE},
    {"CVE-2026-45445", ocb_iv_legal, ocb_iv, HERE},
    {"CVE-2026-45446", siv_legal, siv_reuse, HERE},
    {"CVE-2025-69418", ocb_rest_legal, ocb_rest, HERE},
    {0},
};
