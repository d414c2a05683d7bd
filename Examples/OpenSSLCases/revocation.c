//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Certificates that are held against lists of what was revoked (RFC 5280, section 5), or changes of lists.

#include "case.h"
#include "identities.h"
#include <openssl/x509v3.h>

OWNABLE(X509_STORE_CTX, X509_STORE_CTX_free)
OWNABLE(X509_CRL, X509_CRL_free)

static int add_number(X509_CRL *list, int extension, long number, int is_critical) {
    ASN1_INTEGER *value = ASN1_INTEGER_new();
    int is_good = ASN1_INTEGER_set(value, number) == 1
        && X509_CRL_add1_ext_i2d(list, extension, value, is_critical, 0) == 1;
    ASN1_INTEGER_free(value);
    return is_good;
}

/// A signed list with this number (-1: none), that changes the list of number `base` (-1: is whole), and says that this
/// certificate is revoked (null: none).
static X509_CRL *list_of(long number, long base, X509 *revoked) {
    const struct identity *authority = &identities()->authority;
    X509_CRL *list = X509_CRL_new();
    ASN1_TIME *now = ASN1_TIME_adj(NULL, time(NULL), 0, -3600), *next = ASN1_TIME_adj(NULL, time(NULL), 1, 0);
    int is_good = X509_CRL_set_version(list, X509_CRL_VERSION_2) == 1
        && X509_CRL_set_issuer_name(list, X509_get_subject_name(authority->certificate)) == 1
        && X509_CRL_set1_lastUpdate(list, now) == 1 && X509_CRL_set1_nextUpdate(list, next) == 1
        && (number < 0 || add_number(list, NID_crl_number, number, 0))
        && (base < 0 || add_number(list, NID_delta_crl, base, 1));
    if (is_good && revoked != NULL) {
        X509_REVOKED *entry = X509_REVOKED_new();
        is_good = X509_REVOKED_set_serialNumber(entry, (ASN1_INTEGER *)X509_get0_serialNumber(revoked)) == 1
            && X509_REVOKED_set_revocationDate(entry, now) == 1 && X509_CRL_add0_revoked(list, entry) == 1;
    }
    is_good = is_good && X509_CRL_sort(list) == 1 && X509_CRL_sign(list, authority->key, EVP_sha256()) > 0;
    ASN1_TIME_free(now);
    ASN1_TIME_free(next);
    // As it comes from elsewhere: written and read, which fills in what the library remembers of it.
    unsigned char *bytes = NULL;
    int size = is_good ? i2d_X509_CRL(list, &bytes) : 0;
    const unsigned char *start = bytes;
    X509_CRL *read = size > 0 ? d2i_X509_CRL(NULL, &start, size) : NULL;
    OPENSSL_free(bytes);
    X509_CRL_free(list);
    return read;
}

/// The result of verifying a certificate with the list 1 and a change of it (null: none).
static const char *verify(X509 *certificate, X509_CRL *delta, int *result) {
    OWNED(X509_CRL) whole = list_of(1, -1, NULL);
    OWNED(X509_STORE) store = X509_STORE_new();
    OWNED(X509_STORE_CTX) context = X509_STORE_CTX_new();
    NEED(whole != NULL && X509_STORE_add_cert(store, identities()->authority.certificate) == 1);
    NEED(X509_STORE_add_crl(store, whole) == 1 && (delta == NULL || X509_STORE_add_crl(store, delta) == 1));
    NEED(X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_USE_DELTAS) == 1);
    NEED(X509_STORE_CTX_init(context, store, certificate, NULL) == 1);
    *result = X509_verify_cert(context) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(context);
    return "good";
}

/// A certificate that says where changes are to be found.
static X509 *new_certificate(void) {
    const struct identities *all = identities();
    return certified(all->person.key, "watched", &all->authority, NID_freshest_crl, "URI:http://lists.example/");
}

static const char *changes_legal(void) {
    OWNED(X509) certificate = new_certificate();
    NEED(certificate != NULL);
    OWNED(X509_CRL) revoking = list_of(2, 1, certificate);
    OWNED(X509_CRL) other = list_of(2, 1, identities()->server.certificate);
    int result = -1;
    NEED(revoking != NULL && other != NULL);
    NEED_GOOD(verify(certificate, NULL, &result));
    NEED(result == X509_V_OK);
    NEED_GOOD(verify(certificate, other, &result));
    NEED(result == X509_V_OK);
    NEED_GOOD(verify(certificate, revoking, &result));
    NEED(result == X509_V_ERR_CERT_REVOKED);
    return "good";
}

// A change without a number of its own.
static const char *without_number(void) {
    OWNED(X509) certificate = new_certificate();
    OWNED(X509_CRL) delta = list_of(-1, 1, NULL);
    int result = -1;
    NEED(certificate != NULL && delta != NULL);
    NEED_GOOD(verify(certificate, delta, &result));
    return result == X509_V_OK ? "left out" : "refused";
}

const struct openssl_case revocation_cases[] = {
    {"CVE-2026-28388", changes_legal, without_number, CHILD},
    {0},
};
