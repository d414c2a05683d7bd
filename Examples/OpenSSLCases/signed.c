//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Signed messages (PKCS #7, RFC 2315).

#include "case.h"
#include "der.h"
#include "identities.h"
#include <openssl/pkcs7.h>
#include <openssl/x509v3.h>

OWNABLE(PKCS7, PKCS7_free)

static const char text[] = "wait until it moults, then fly away";

static PKCS7 *sign(int flags) {
    OWNED(BIO) input = BIO_new_mem_buf(text, (int)strlen(text));
    const struct identity *person = &identities()->person;
    return PKCS7_sign(person->certificate, person->key, NULL, input, flags | PKCS7_BINARY);
}

static X509_STORE *trusting_authority(void) {
    X509_STORE *store = X509_STORE_new();
    X509_STORE_add_cert(store, identities()->authority.certificate);
    return store;
}

/// Verifies, with the text beside the message or in it; gives 1 if the text comes out.
static int verify(PKCS7 *message, const char *beside) {
    OWNED(BIO) input = beside == NULL ? NULL : BIO_new_mem_buf(beside, (int)strlen(beside));
    OWNED(BIO) output = BIO_new(BIO_s_mem());
    OWNED(X509_STORE) store = trusting_authority();
    X509_STORE_set_purpose(store, X509_PURPOSE_ANY);
    return PKCS7_verify(message, NULL, store, input, output, PKCS7_BINARY) == 1 && holds(output, text);
}

static const char *signatures_legal(void) {
    OWNED(PKCS7) whole = sign(0);
    OWNED(PKCS7) detached = sign(PKCS7_DETACHED);
    NEED(whole != NULL && detached != NULL);
    NEED(verify(whole, NULL));
    NEED(verify(detached, text));
    NEED(!verify(detached, "another text"));
    OWNED(PKCS7) without_attributes = sign(PKCS7_NOATTR);
    NEED(without_attributes != NULL && verify(without_attributes, NULL));
    return "good";
}

static int frees;

static int count_free(BIO *bio) {
    (void)bio;
    frees++;
    return 1;
}

// A message that lists no digests makes the caller's own text the only one to be freed.
static const char *without_digests(void) {
    OWNED(PKCS7) message = sign(PKCS7_DETACHED);
    NEED(message != NULL);
    sk_X509_ALGOR_pop_free(message->d.sign->md_algs, X509_ALGOR_free);
    message->d.sign->md_algs = sk_X509_ALGOR_new_null();
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "counting");
    NEED(method != NULL && BIO_meth_set_destroy(method, count_free) == 1);
    BIO *input = BIO_new(method);
    NEED(input != NULL);
    BIO_set_init(input, 1);
    frees = 0;
    int is_good = PKCS7_verify(message, NULL, NULL, input, NULL, PKCS7_BINARY | PKCS7_NOVERIFY);
    const char *outcome = is_good == 1 ? "accepted" : frees == 0 ? "kept" : "freed";
    if (frees == 0) BIO_free(input);
    BIO_meth_free(method);
    return outcome;
}

// The attribute that must hold the text's digest is a BOOLEAN.
static const char *digest_type(void) {
    OWNED(PKCS7) message = sign(0);
    NEED(message != NULL);
    PKCS7_SIGNER_INFO *signer = sk_PKCS7_SIGNER_INFO_value(PKCS7_get_signer_info(message), 0);
    NEED(signer != NULL);
    NEED(PKCS7_add_signed_attribute(signer, NID_pkcs9_messageDigest, V_ASN1_BOOLEAN, (void *)1) == 1);
    return verify(message, NULL) ? "accepted" : "refused";
}

const struct openssl_case signed_cases[] = {
    {"CVE-2026-45447", signatures_legal, without_digests, CHILD},
    {"CVE-2026-22796", signatures_legal, digest_type, CHILD},
    {0},
};
