//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// A certificate that comes encrypted (EncryptedValue, RFC 4211, section 2.1), as a certification authority answers.

#include "case.h"
#include "der.h"
#include "identities.h"
#include "message.h"
#include <openssl/crmf.h>

/// Reads a value whose cipher has its parameter (the IV), or none.
static const char *open_value(int has_parameter) {
    struct der value = {.count = 0};
    unsigned char certificate[1024], sealed[1040], wrapped[512];
    unsigned char *end = certificate;
    size_t wrapped_size = sizeof wrapped;
    int first = 0, last = 0;
    const struct identity *recipient = &identities()->rsa;
    NEED(i2d_X509(recipient->certificate, NULL) <= (int)sizeof certificate);
    int size = i2d_X509(recipient->certificate, &end);
    OWNED(EVP_CIPHER_CTX) cipher = EVP_CIPHER_CTX_new();
    NEED(EVP_EncryptInit_ex(cipher, EVP_aes_128_cbc(), NULL, content_key, message_iv) == 1);
    NEED(EVP_EncryptUpdate(cipher, sealed, &first, certificate, size) == 1);
    NEED(EVP_EncryptFinal_ex(cipher, sealed + first, &last) == 1);
    OWNED(EVP_PKEY_CTX) context = EVP_PKEY_CTX_new(recipient->key, NULL);
    NEED(EVP_PKEY_encrypt_init(context) == 1);
    NEED(EVP_PKEY_encrypt(context, wrapped, &wrapped_size, content_key, CONTENT_KEY) == 1);

    size_t outer = der_start(&value);
    size_t algorithm = der_start(&value);
    der_object(&value, OID_AES_CBC);
    if (has_parameter) der_value(&value, DER_OCTETS, message_iv, BLOCK);
    der_end(&value, algorithm, DER_CONTEXT(1));
    size_t key = der_start(&value);
    der_raw(&value, "", 1); // no unused bits
    der_raw(&value, wrapped, wrapped_size);
    der_end(&value, key, DER_CONTEXT_PRIMITIVE(2));
    der_bits(&value, sealed, (size_t)(first + last));
    der_end(&value, outer, DER_SEQUENCE);

    const unsigned char *start = value.bytes;
    OSSL_CRMF_ENCRYPTEDVALUE *decoded = d2i_OSSL_CRMF_ENCRYPTEDVALUE(NULL, &start, (long)value.count);
    NEED(decoded != NULL);
    OWNED(X509) opened = OSSL_CRMF_ENCRYPTEDVALUE_get1_encCert(decoded, NULL, NULL, recipient->key);
    OSSL_CRMF_ENCRYPTEDVALUE_free(decoded);
    if (opened == NULL) return "refused";
    return X509_cmp(opened, recipient->certificate) == 0 ? "accepted" : "another certificate";
}

static const char *value_legal(void) {
    NEED(strcmp(open_value(1), "accepted") == 0);
    return "good";
}

static const char *without_parameter(void) { return open_value(0); }

const struct openssl_case value_cases[] = {
    {"CVE-2026-42767", value_legal, without_parameter, CHILD},
    {0},
};
