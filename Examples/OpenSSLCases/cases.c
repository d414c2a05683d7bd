//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "include/OpenSSLCases.h"
#include "case.h"

// Each list ends with a case without name.
static const struct openssl_case *const lists[] = {
    aead_cases,     asn1_cases,      string_cases,     key_cases,   password_cases, envelope_cases,  agreement_cases,
    transport_cases, management_cases, value_cases, container_cases, signed_cases,   timestamp_cases, dane_cases,
    revocation_cases,
};

static const struct openssl_case *at(int index) {
    for (size_t list = 0; list < sizeof lists / sizeof lists[0]; list++)
        for (const struct openssl_case *one = lists[list]; one->name != NULL; one++)
            if (index-- == 0) return one;
    return NULL;
}

static const struct openssl_case *named(const char *name) {
    const struct openssl_case *one;
    for (int index = 0; (one = at(index)) != NULL; index++)
        if (strcmp(one->name, name) == 0) return one;
    return NULL;
}

int openssl_case_count(void) {
    int count = 0;
    while (at(count) != NULL) count++;
    return count;
}

const char *openssl_case_name(int index) {
    const struct openssl_case *one = index < 0 ? NULL : at(index);
    return one == NULL ? NULL : one->name;
}

const char *openssl_case_legal(const char *name) {
    const struct openssl_case *one = named(name);
    if (one == NULL) return NULL;
    const char *outcome = one->legal();
    ERR_clear_error();
    return outcome;
}

const char *openssl_case_hostile(const char *name) {
    const struct openssl_case *one = named(name);
    if (one == NULL) return NULL;
    // What is made only once is made here and not in each child.
    NEED_GOOD(openssl_cases_prepare());
    const char *outcome =
        one->place == HERE ? one->hostile() : run_in_child(one->hostile, one->place == GUARDED_CHILD);
    ERR_clear_error();
    return outcome;
}

int holds(BIO *memory, const char *text) {
    char *bytes;
    long count = BIO_get_mem_data(memory, &bytes);
    return count == (long)strlen(text) && memcmp(bytes, text, (size_t)count) == 0;
}
