//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Messages whose key is encrypted by RSA with OAEP (RFC 3560).

#include "message.h"
#include "identities.h"
#include <openssl/rsa.h>

static const char *transport_legal(void) {
    static const char label[] = "a label";
    const struct identity *recipient = &identities()->rsa;
    for (int has_label = 0; has_label < 2; has_label++) {
        OWNED(CMS_ContentInfo) message = new_message(EVP_aes_128_cbc());
        NEED(message != NULL);
        CMS_RecipientInfo *info = CMS_add1_recipient_cert(message, recipient->certificate, CMS_KEY_PARAM);
        NEED(info != NULL);
        EVP_PKEY_CTX *context = CMS_RecipientInfo_get0_pkey_ctx(info);
        NEED(EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1);
        NEED(EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256()) == 1);
        if (has_label) {
            char *copy = OPENSSL_memdup(label, sizeof label);
            NEED(EVP_PKEY_CTX_set0_rsa_oaep_label(context, copy, sizeof label) == 1);
        }
        OWNED(CMS_ContentInfo) sent = sent_message(message);
        NEED(sent != NULL);
        NEED(strcmp(open_message(sent, recipient->key, recipient->certificate), "accepted") == 0);
    }
    // And the old padding.
    OWNED(CMS_ContentInfo) message = new_message(EVP_aes_128_cbc());
    NEED(message != NULL && CMS_add1_recipient_cert(message, recipient->certificate, 0) != NULL);
    OWNED(CMS_ContentInfo) sent = sent_message(message);
    NEED(sent != NULL && strcmp(open_message(sent, recipient->key, recipient->certificate), "accepted") == 0);
    return "good";
}

// RSAES-OAEP-params with a source of the label that has no parameter.
static const char *without_label(void) {
    const struct identity *recipient = &identities()->rsa;
    struct parts parts;
    struct der *der = &parts.recipient;
    unsigned char wrapped[256] = {0};
    NEED_GOOD(encrypt_content(&parts, 0));
    der->count = 0;
    size_t outer = der_start(der);
    der_number(der, 0);
    issuer_and_serial(der, recipient->certificate);
    size_t algorithm = der_start(der);
    der_object(der, "1.2.840.113549.1.1.7");
    size_t parameters = der_start(der);
    size_t source = der_start(der);
    der_algorithm(der, "1.2.840.113549.1.1.9");
    der_end(der, source, DER_CONTEXT(2));
    der_end(der, parameters, DER_SEQUENCE);
    der_end(der, algorithm, DER_SEQUENCE);
    der_value(der, DER_OCTETS, wrapped, sizeof wrapped);
    der_end(der, outer, DER_SEQUENCE);
    OWNED(CMS_ContentInfo) message = message_of(&parts);
    NEED(message != NULL);
    return open_message(message, recipient->key, recipient->certificate);
}

const struct openssl_case transport_cases[] = {
    {"CVE-2026-28390", transport_legal, without_label, CHILD},
    {0},
};
