//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Keys of others: an encapsulation that failed, and a group that is not the same.

#include "case.h"
#include "identities.h"
#include <openssl/core_names.h>
#include <openssl/param_build.h>

enum { SECRET = 256 };

/// Wraps a new secret for this key: 1, with both.
static int encapsulate(EVP_PKEY *key, unsigned char *wrapped, unsigned char *secret) {
    OWNED(EVP_PKEY_CTX) context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    size_t wrapped_size = SECRET, secret_size = SECRET;
    return EVP_PKEY_encapsulate_init(context, NULL) == 1 && EVP_PKEY_CTX_set_kem_op(context, "RSASVE") == 1
        && EVP_PKEY_encapsulate(context, wrapped, &wrapped_size, secret, &secret_size) == 1
        && wrapped_size == SECRET && secret_size == SECRET;
}

static const char *encapsulation_legal(void) {
    unsigned char wrapped[SECRET], secret[SECRET], opened[SECRET];
    size_t size = SECRET;
    EVP_PKEY *key = identities()->rsa.key;
    OWNED(EVP_PKEY_CTX) context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    NEED(encapsulate(key, wrapped, secret));
    NEED(EVP_PKEY_decapsulate_init(context, NULL) == 1 && EVP_PKEY_CTX_set_kem_op(context, "RSASVE") == 1);
    NEED(EVP_PKEY_decapsulate(context, opened, &size, wrapped, SECRET) == 1);
    NEED(size == SECRET && memcmp(secret, opened, SECRET) == 0);
    return "good";
}

/// A public key of parameters.
static EVP_PKEY *key_of(const char *type, OSSL_PARAM_BLD *parameters) {
    OSSL_PARAM *list = OSSL_PARAM_BLD_to_param(parameters);
    OWNED(EVP_PKEY_CTX) context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;
    if (EVP_PKEY_fromdata_init(context) == 1) EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, list);
    OSSL_PARAM_free(list);
    return key;
}

// RSA with an exponent above the modulus cannot encrypt. What was in the buffer must not go out as the wrapped secret.
static const char *encapsulation_failed(void) {
    BIGNUM *modulus = NULL, *exponent = BN_new();
    OSSL_PARAM_BLD *parameters = OSSL_PARAM_BLD_new();
    NEED(EVP_PKEY_get_bn_param(identities()->rsa.key, OSSL_PKEY_PARAM_RSA_N, &modulus) == 1);
    NEED(BN_copy(exponent, modulus) != NULL && BN_add_word(exponent, 2) == 1);
    NEED(OSSL_PARAM_BLD_push_BN(parameters, OSSL_PKEY_PARAM_RSA_N, modulus) == 1);
    NEED(OSSL_PARAM_BLD_push_BN(parameters, OSSL_PKEY_PARAM_RSA_E, exponent) == 1);
    OWNED(EVP_PKEY) key = key_of("RSA", parameters);
    OSSL_PARAM_BLD_free(parameters);
    BN_free(modulus);
    BN_free(exponent);
    NEED(key != NULL);
    unsigned char wrapped[SECRET] = "what was here before", secret[SECRET];
    if (!encapsulate(key, wrapped, secret)) return "refused";
    return strcmp((char *)wrapped, "what was here before") == 0 ? "nothing wrapped" : "accepted";
}

/// The secret that these two keys have in common: 1, or 0 if the other key is refused.
static int agree(EVP_PKEY *own, EVP_PKEY *other, unsigned char *secret) {
    OWNED(EVP_PKEY_CTX) context = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
    size_t size = SECRET;
    return EVP_PKEY_derive_init(context) == 1 && EVP_PKEY_derive_set_peer(context, other) == 1
        && EVP_PKEY_derive(context, secret, &size) == 1;
}

/// The public part of the person's key for agreement, with another order of the group: the right one times a factor.
static EVP_PKEY *with_order(BN_ULONG factor) {
    static const char *const names[] = {OSSL_PKEY_PARAM_FFC_P, OSSL_PKEY_PARAM_FFC_G, OSSL_PKEY_PARAM_FFC_Q,
                                        OSSL_PKEY_PARAM_PUB_KEY};
    OSSL_PARAM_BLD *parameters = OSSL_PARAM_BLD_new();
    BIGNUM *values[4] = {NULL};
    int is_good = 1;
    for (int i = 0; i < 4; i++) {
        is_good = is_good && EVP_PKEY_get_bn_param(identities()->agreement.key, names[i], &values[i]) == 1;
        if (i == 2) is_good = is_good && BN_mul_word(values[i], factor) == 1;
        is_good = is_good && OSSL_PARAM_BLD_push_BN(parameters, names[i], values[i]) == 1;
    }
    EVP_PKEY *key = is_good ? key_of("DHX", parameters) : NULL;
    OSSL_PARAM_BLD_free(parameters);
    for (int i = 0; i < 4; i++) BN_free(values[i]);
    return key;
}

static EVP_PKEY *new_key(void) {
    OWNED(EVP_PKEY_CTX) context = EVP_PKEY_CTX_new_from_pkey(NULL, identities()->agreement.key, NULL);
    EVP_PKEY *key = NULL;
    if (EVP_PKEY_keygen_init(context) == 1) EVP_PKEY_keygen(context, &key);
    return key;
}

static const char *agreement_legal(void) {
    unsigned char first[SECRET], second[SECRET];
    OWNED(EVP_PKEY) own = new_key();
    OWNED(EVP_PKEY) other = with_order(1);
    NEED(own != NULL && other != NULL);
    NEED(agree(own, other, first));
    NEED(agree(identities()->agreement.key, own, second));
    NEED(memcmp(first, second, SECRET) == 0);
    return "good";
}

// The check of a public key uses the order that came with it.
static const char *other_order(void) {
    unsigned char secret[SECRET];
    OWNED(EVP_PKEY) own = new_key();
    OWNED(EVP_PKEY) other = with_order(2);
    NEED(own != NULL && other != NULL);
    return agree(own, other, secret) ? "accepted" : "rejected";
}

const struct openssl_case key_cases[] = {
    {"CVE-2026-31790", encapsulation_legal, encapsulation_failed, HERE},
    {"CVE-2026-42770", agreement_legal, other_order, HERE},
    {0},
};
