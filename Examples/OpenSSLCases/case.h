//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// What a case is, and what the cases share.

#ifndef CASE_H
#define CASE_H

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stddef.h>
#include <string.h>

/// Where a hostile input is tried.
enum place {
    /// In the process itself: it does no harm there.
    HERE,
    /// In a child, because it may crash.
    CHILD,
    /// In a child whose memory is guarded, because it may go beyond its memory without a crash.
    GUARDED_CHILD,
};

struct openssl_case {
    const char *name;
    const char *(*legal)(void);
    const char *(*hostile)(void);
    enum place place;
};

/// Runs `hostile` in a child: what it returned, or "crashed".
const char *run_in_child(const char *(*hostile)(void), int is_guarded);

/// What is not as it must be ends a case with the place and the expression.
#define TEXT_OF(number) #number
#define PLACE_OF(file, line) file ":" TEXT_OF(line)
#define NEED(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) return "bad: " PLACE_OF(__FILE_NAME__, __LINE__) " " #condition;                             \
    } while (0)

/// A function's own failure is passed on.
#define NEED_GOOD(expression)                                                                                          \
    do {                                                                                                               \
        const char *need_outcome = (expression);                                                                       \
        if (strcmp(need_outcome, "good") != 0) return need_outcome;                                                    \
    } while (0)

/// A pointer that is freed at the end of its block, however that is left.
#define OWNABLE(type, release)                                                                                         \
    static inline void release_##type(type **pointer) { release(*pointer); }
#define OWNED(type) __attribute__((cleanup(release_##type))) type *

#pragma clang diagnostic ignored "-Wunused-function"
OWNABLE(BIO, BIO_free_all)
OWNABLE(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free)
OWNABLE(EVP_CIPHER, EVP_CIPHER_free)
OWNABLE(EVP_PKEY_CTX, EVP_PKEY_CTX_free)
OWNABLE(EVP_PKEY, EVP_PKEY_free)
OWNABLE(X509, X509_free)
OWNABLE(X509_STORE, X509_STORE_free)

/// Whether a memory BIO holds exactly this text.
int holds(BIO *memory, const char *text);

extern const struct openssl_case aead_cases[], asn1_cases[], string_cases[], key_cases[], password_cases[],
    envelope_cases[], agreement_cases[], transport_cases[], management_cases[], value_cases[], container_cases[],
    signed_cases[], timestamp_cases[], dane_cases[], revocation_cases[];

#endif
