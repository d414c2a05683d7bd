//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Messages whose key is agreed upon by elliptic curves or Diffie-Hellman (KeyAgreeRecipientInfo, RFC 5753, RFC 2631).

#include "message.h"
#include "identities.h"
#include <openssl/core_names.h>
#include <stdlib.h>

/// What is wrong in a message.
enum wrong { NO_PARAMETER, WRAP_PAD };

/// The public key of X9.42: an integer.
static void public_number(struct der *der, EVP_PKEY *key) {
    BIGNUM *number = NULL;
    unsigned char bytes[257] = {0}; // one more: the highest bit would be a sign
    if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PUB_KEY, &number) != 1) abort();
    int size = BN_bn2bin(number, bytes + 1), is_high = BN_num_bits(number) % 8 == 0;
    BN_free(number);
    der_value(der, DER_INTEGER, bytes + 1 - is_high, (size_t)(size + is_high));
}

/// The originator's public key: of the kind that the recipient's is.
static void originator(struct der *der, int is_curve) {
    size_t choice = der_start(der);
    size_t key = der_start(der);
    unsigned char *bytes = NULL;
    if (is_curve) {
        der_algorithm(der, "1.2.840.10045.2.1");
        int size = (int)EVP_PKEY_get1_encoded_public_key(identities()->server.key, &bytes);
        der_bits(der, bytes, size > 0 ? (size_t)size : 0);
        OPENSSL_free(bytes);
    } else {
        der_algorithm(der, "1.2.840.10046.2.1");
        size_t bits = der_start(der);
        der_raw(der, "", 1); // no unused bits
        public_number(der, identities()->agreement.key);
        der_end(der, bits, DER_BITS);
    }
    der_end(der, key, DER_CONTEXT(1));
    der_end(der, choice, DER_CONTEXT(0));
}

static const char *read_wrong(const struct identity *recipient, int is_curve, enum wrong wrong) {
    struct parts parts;
    struct der *der = &parts.recipient;
    NEED_GOOD(encrypt_content(&parts, 0));
    der->count = 0;
    size_t outer = der_start(der);
    der_number(der, 3);
    originator(der, is_curve);
    // dhSinglePass-stdDH-sha256kdf-scheme, or id-alg-ESDH.
    size_t algorithm = der_start(der);
    der_object(der, is_curve ? "1.3.132.1.11.1" : "1.2.840.113549.1.9.16.3.5");
    if (wrong == WRAP_PAD) der_algorithm(der, OID_AES_WRAP_PAD);
    der_end(der, algorithm, DER_SEQUENCE);
    size_t keys = der_start(der);
    size_t one = der_start(der);
    issuer_and_serial(der, recipient->certificate);
    der_value(der, DER_OCTETS, "24 bytes of what no key.", 24);
    der_end(der, one, DER_SEQUENCE);
    der_end(der, keys, DER_SEQUENCE);
    der_end(der, outer, DER_CONTEXT(1));
    OWNED(CMS_ContentInfo) message = message_of(&parts);
    NEED(message != NULL);
    return open_message(message, recipient->key, recipient->certificate);
}

static const char *round_trip(const struct identity *recipient) {
    OWNED(CMS_ContentInfo) message = new_message(EVP_aes_128_cbc());
    NEED(message != NULL && CMS_add1_recipient_cert(message, recipient->certificate, 0) != NULL);
    OWNED(CMS_ContentInfo) sent = sent_message(message);
    NEED(sent != NULL);
    NEED(strcmp(open_message(sent, recipient->key, recipient->certificate), "accepted") == 0);
    return "good";
}

static const char *agreements_legal(void) {
    NEED_GOOD(round_trip(&identities()->person));
    NEED_GOOD(round_trip(&identities()->agreement));
    return "good";
}

// The fix goes through all ways to unwrap a key: agreed upon, shared, by password.
static const char *unwrapping_legal(void) {
    NEED_GOOD(agreements_legal());
    NEED_GOOD(use_envelopes());
    return use_passwords();
}

// The two kinds are two functions: each must refuse.
static const char *without_parameter_curve(void) { return read_wrong(&identities()->person, 1, NO_PARAMETER); }
static const char *without_parameter_group(void) { return read_wrong(&identities()->agreement, 0, NO_PARAMETER); }

static const char *without_parameter(void) {
    const char *curve = run_in_child(without_parameter_curve, 0);
    const char *group = run_in_child(without_parameter_group, 0);
    return strcmp(curve, group) == 0 ? curve : "half";
}

// A wrapped key that is no key: on failure the unwrapping clears as many bytes as it got, eight more than there are.
static const char *padded_wrap(void) { return read_wrong(&identities()->person, 1, WRAP_PAD); }

const struct openssl_case agreement_cases[] = {
    {"CVE-2026-28389", agreements_legal, without_parameter, HERE},
    {"CVE-2026-63072", unwrapping_legal, padded_wrap, GUARDED_CHILD},
    {0},
};
