//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Time-stamp responses (RFC 3161), whose signer's certificate is named in a signed attribute (RFC 5035).

#include "case.h"
#include "identities.h"
#include <openssl/ess.h>
#include <openssl/pkcs7.h>
#include <openssl/ts.h>

OWNABLE(PKCS7, PKCS7_free)

/// The attribute's value, of version 1 or 2.
static ASN1_STRING *certificate_attribute(int version) {
    X509 *certificate = identities()->timestamps.certificate;
    unsigned char *bytes = NULL;
    int size = 0;
    if (version == 1) {
        ESS_SIGNING_CERT *value = OSSL_ESS_signing_cert_new_init(certificate, NULL, 0);
        size = i2d_ESS_SIGNING_CERT(value, &bytes);
        ESS_SIGNING_CERT_free(value);
    } else {
        ESS_SIGNING_CERT_V2 *value = OSSL_ESS_signing_cert_v2_new_init(EVP_sha256(), certificate, NULL, 0);
        size = i2d_ESS_SIGNING_CERT_V2(value, &bytes);
        ESS_SIGNING_CERT_V2_free(value);
    }
    ASN1_STRING *sequence = ASN1_STRING_new();
    if (size > 0) ASN1_STRING_set(sequence, bytes, size);
    OPENSSL_free(bytes);
    return sequence;
}

/// A signed token with the attribute of this version, or one of the type BOOLEAN in its place.
static PKCS7 *token(int version, int is_wrong) {
    static const char text[] = "what was stamped";
    OWNED(BIO) input = BIO_new_mem_buf(text, (int)strlen(text));
    const struct identity *service = &identities()->timestamps;
    PKCS7 *made = PKCS7_sign(NULL, NULL, NULL, input, PKCS7_PARTIAL | PKCS7_BINARY);
    PKCS7_SIGNER_INFO *signer =
        PKCS7_sign_add_signer(made, service->certificate, service->key, EVP_sha256(), PKCS7_BINARY);
    int attribute = version == 1 ? NID_id_smime_aa_signingCertificate : NID_id_smime_aa_signingCertificateV2;
    int is_good = signer != NULL
        && (is_wrong
                ? PKCS7_add_signed_attribute(signer, attribute, V_ASN1_BOOLEAN, (void *)1)
                : PKCS7_add_signed_attribute(signer, attribute, V_ASN1_SEQUENCE, certificate_attribute(version)))
            == 1
        && PKCS7_final(made, input, PKCS7_BINARY) == 1;
    if (is_good) return made;
    PKCS7_free(made);
    return NULL;
}

static const char *verify(int version, int is_wrong) {
    OWNED(PKCS7) made = token(version, is_wrong);
    OWNED(X509_STORE) store = X509_STORE_new();
    X509 *signer = NULL;
    NEED(made != NULL && X509_STORE_add_cert(store, identities()->authority.certificate) == 1);
    int is_good = TS_RESP_verify_signature(made, NULL, store, &signer);
    X509_free(signer);
    return is_good == 1 ? "accepted" : "refused";
}

static const char *tokens_legal(void) {
    NEED(strcmp(verify(1, 0), "accepted") == 0);
    NEED(strcmp(verify(2, 0), "accepted") == 0);
    return "good";
}

static const char *first_version(void) { return verify(1, 1); }
static const char *second_version(void) { return verify(2, 1); }

// Both versions are read by a function of their own.
static const char *attribute_type(void) {
    const char *first = run_in_child(first_version, 0), *second = run_in_child(second_version, 0);
    return strcmp(first, second) == 0 ? first : "half";
}

const struct openssl_case timestamp_cases[] = {
    {"CVE-2025-69420", tokens_legal, attribute_type, HERE},
    {0},
};
