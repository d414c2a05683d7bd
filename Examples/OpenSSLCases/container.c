//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// PKCS #12 containers (RFC 7292).

#include "case.h"
#include "der.h"
#include "identities.h"
#include <openssl/pkcs12.h>

OWNABLE(PKCS12, PKCS12_free)
OWNABLE(PKCS7, PKCS7_free)

static const char password[] = "not much of a secret";

static const char *containers_legal(void) {
    const struct identity *person = &identities()->person;
    OWNED(PKCS12) container =
        PKCS12_create(password, "a name", person->key, person->certificate, NULL, 0, 0, 1, 1, 0);
    NEED(container != NULL);
    EVP_PKEY *key = NULL;
    X509 *certificate = NULL;
    NEED(PKCS12_parse(container, password, &key, &certificate, NULL) == 1);
    int count = 0;
    const unsigned char *name = X509_alias_get0(certificate, &count);
    int is_good = EVP_PKEY_eq(key, person->key) == 1 && X509_cmp(certificate, person->certificate) == 0
        && count == 6 && memcmp(name, "a name", 6) == 0;
    EVP_PKEY_free(key);
    X509_free(certificate);
    NEED(is_good);
    NEED(PKCS12_parse(container, "another one", &key, &certificate, NULL) == 0);
    return "good";
}

// Encrypted contents that are left out.
static const char *without_contents(void) {
    struct der der = {.count = 0};
    size_t outer = der_start(&der);
    der_object(&der, "1.2.840.113549.1.7.6");
    size_t tagged = der_start(&der), encrypted = der_start(&der);
    der_number(&der, 0);
    size_t content = der_start(&der);
    der_object(&der, "1.2.840.113549.1.7.1");
    der_algorithm(&der, "1.2.840.113549.1.12.1.3");
    der_end(&der, content, DER_SEQUENCE);
    der_end(&der, encrypted, DER_SEQUENCE);
    der_end(&der, tagged, DER_CONTEXT(0));
    der_end(&der, outer, DER_SEQUENCE);
    const unsigned char *start = der.bytes;
    OWNED(PKCS7) safe = d2i_PKCS7(NULL, &start, (long)der.count);
    NEED(safe != NULL);
    STACK_OF(PKCS12_SAFEBAG) *bags = PKCS12_unpack_p7encdata(safe, password, (int)strlen(password));
    sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
    return bags == NULL ? "refused" : "accepted";
}

/// A container with one certificate whose friendly name is of the type BOOLEAN.
static PKCS12 *with_wrong_name(void) {
    PKCS12_SAFEBAG *bag = PKCS12_SAFEBAG_create_cert(identities()->person.certificate);
    STACK_OF(PKCS12_SAFEBAG) *bags = sk_PKCS12_SAFEBAG_new_null();
    STACK_OF(PKCS7) *safes = NULL;
    PKCS12 *container = NULL;
    if (sk_PKCS12_SAFEBAG_push(bags, bag) > 0 && PKCS12_add_friendlyname_utf8(bag, "a name", -1) == 1) {
        X509_ATTRIBUTE *name = sk_X509_ATTRIBUTE_value(PKCS12_SAFEBAG_get0_attrs(bag), 0);
        ASN1_TYPE_set(X509_ATTRIBUTE_get0_type(name, 0), V_ASN1_BOOLEAN, (void *)1);
        if (PKCS12_add_safe(&safes, bags, -1, 0, NULL) == 1) container = PKCS12_add_safes(safes, 0);
    }
    sk_PKCS7_pop_free(safes, PKCS7_free);
    sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
    return container;
}

static const char *name_type(void) {
    OWNED(PKCS12) container = with_wrong_name();
    NEED(container != NULL && PKCS12_set_mac(container, password, -1, NULL, 0, 1, NULL) == 1);
    EVP_PKEY *key = NULL;
    X509 *certificate = NULL;
    STACK_OF(X509) *others = NULL;
    int is_read = PKCS12_parse(container, password, &key, &certificate, &others);
    EVP_PKEY_free(key);
    X509_free(certificate);
    sk_X509_pop_free(others, X509_free);
    return is_read == 1 ? "accepted" : "refused";
}

const struct openssl_case container_cases[] = {
    {"CVE-2025-69421", containers_legal, without_contents, CHILD},
    {"CVE-2026-22795", containers_legal, name_type, CHILD},
    {0},
};
