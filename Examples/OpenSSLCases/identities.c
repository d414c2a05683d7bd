//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "identities.h"
#include "case.h"
#include "include/OpenSSLCases.h"
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>

static struct identities all;
static atomic_long serial = 1000;

X509 *certified(EVP_PKEY *key, const char *name, const struct identity *authority, int extension, const char *value) {
    X509 *made = X509_new();
    X509_NAME *subject = X509_NAME_new();
    X509V3_CTX context;
    // X9.42 keys cannot sign, and neither does anyone but the authority.
    EVP_PKEY *signer = authority->key;
    int is_good =
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0)
        && X509_set_version(made, X509_VERSION_3) && ASN1_INTEGER_set(X509_get_serialNumber(made), serial++)
        && X509_set_subject_name(made, subject)
        && X509_set_issuer_name(
            made, authority->certificate == NULL ? subject : X509_get_subject_name(authority->certificate))
        && X509_gmtime_adj(X509_getm_notBefore(made), -3600) != NULL
        && X509_gmtime_adj(X509_getm_notAfter(made), 24 * 3600) != NULL && X509_set_pubkey(made, key);
    if (is_good && extension != 0) {
        X509V3_set_ctx(&context, authority->certificate == NULL ? made : authority->certificate, made, NULL, NULL, 0);
        X509V3_set_ctx_nodb(&context);
        X509_EXTENSION *added = X509V3_EXT_conf_nid(NULL, &context, extension, value);
        is_good = added != NULL && X509_add_ext(made, added, -1);
        X509_EXTENSION_free(added);
    }
    is_good = is_good && X509_sign(made, signer, EVP_sha256()) > 0;
    X509_NAME_free(subject);
    if (is_good) return made;
    X509_free(made);
    return NULL;
}

static EVP_PKEY *agreement_key(void) {
    OWNED(EVP_PKEY_CTX) context = EVP_PKEY_CTX_new_from_name(NULL, "DHX", NULL);
    EVP_PKEY *key = NULL;
    if (EVP_PKEY_keygen_init(context) == 1 && EVP_PKEY_CTX_set_group_name(context, "dh_2048_256") == 1)
        EVP_PKEY_keygen(context, &key);
    return key;
}

static int make(struct identity *identity, EVP_PKEY *key, const char *name, int extension, const char *value) {
    identity->key = key;
    if (key == NULL) return 0;
    identity->certificate = certified(key, name, &all.authority, extension, value);
    return identity->certificate != NULL;
}

static void make_all(void) {
    all.authority.key = EVP_EC_gen("P-256");
    all.are_made =
        make(&all.authority, all.authority.key, "authority", NID_basic_constraints, "critical,CA:TRUE")
        && make(&all.server, EVP_EC_gen("P-256"), "server", NID_subject_alt_name, "DNS:server.example")
        && make(&all.person, EVP_EC_gen("P-256"), "person", 0, NULL)
        && make(&all.timestamps, EVP_EC_gen("P-256"), "timestamps", NID_ext_key_usage, "critical,timeStamping")
        && make(&all.rsa, EVP_RSA_gen(2048), "rsa", 0, NULL)
        && make(&all.agreement, agreement_key(), "agreement", 0, NULL);
}

const struct identities *identities(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_all);
    return &all;
}

const char *openssl_cases_prepare(void) {
    NEED(identities()->are_made);
    return "good";
}
