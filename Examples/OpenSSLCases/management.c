//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Messages of the Certificate Management Protocol (RFC 4210), as a registration authority gets them from anyone who
// can reach it.

#include "case.h"
#include "der.h"
#include "identities.h"
#include <openssl/cmp.h>
#include <openssl/crmf.h>

OWNABLE(OSSL_CMP_MSG, OSSL_CMP_MSG_free)
OWNABLE(OSSL_CMP_CTX, OSSL_CMP_CTX_free)
OWNABLE(OSSL_CMP_SRV_CTX, OSSL_CMP_SRV_CTX_free)
OWNABLE(OSSL_CRMF_PBMPARAMETER, OSSL_CRMF_PBMPARAMETER_free)

static const unsigned char secret[] = "not much of a secret";

static int say_nothing(const char *function, const char *file, int line, OSSL_CMP_severity level, const char *text) {
    (void)function, (void)file, (void)line, (void)level, (void)text;
    return 1;
}

/// PBMParameter (RFC 4211, section 4.4), always the same.
static void mac_parameters(struct der *der) {
    static const unsigned char salt[16] = {3};
    size_t start = der_start(der);
    der_value(der, DER_OCTETS, salt, sizeof salt);
    der_algorithm(der, "2.16.840.1.101.3.4.2.1"); // SHA-256
    der_number(der, 100);
    der_algorithm(der, "1.2.840.113549.2.9"); // HMAC with SHA-256
    der_end(der, start, DER_SEQUENCE);
}

/// A context-specific tag around octets.
static void tagged_octets(struct der *der, int number, unsigned char byte) {
    unsigned char octets[16];
    memset(octets, byte, sizeof octets);
    size_t start = der_start(der);
    der_value(der, DER_OCTETS, octets, sizeof octets);
    der_end(der, start, DER_CONTEXT(number));
}

/// The header; with a protection whose parameter is the sequence that it must be, or an octet string that holds it.
static void header(struct der *der, int is_protected, int is_wrapped) {
    size_t outer = der_start(der);
    der_number(der, 2);
    for (int i = 0; i < 2; i++) { // sender and recipient: an empty name
        size_t name = der_start(der);
        der_end(der, der_start(der), DER_SEQUENCE);
        der_end(der, name, DER_CONTEXT(4));
    }
    if (is_protected) {
        size_t tagged = der_start(der);
        size_t algorithm = der_start(der);
        der_object(der, "1.2.840.113533.7.66.13"); // PasswordBasedMac
        size_t parameter = der_start(der);
        mac_parameters(der);
        if (is_wrapped) der_end(der, parameter, DER_OCTETS);
        der_end(der, algorithm, DER_SEQUENCE);
        der_end(der, tagged, DER_CONTEXT(1));
    }
    tagged_octets(der, 4, 7); // transaction
    tagged_octets(der, 5, 9); // nonce
    der_end(der, outer, DER_SEQUENCE);
}

/// A general message that asks for nothing.
static void body(struct der *der) {
    size_t start = der_start(der);
    der_end(der, der_start(der), DER_SEQUENCE);
    der_end(der, start, DER_CONTEXT(21));
}

static OSSL_CMP_MSG *read(const struct der *der) {
    const unsigned char *start = der->bytes;
    return d2i_OSSL_CMP_MSG(NULL, &start, (long)der->count);
}

/// Validates a message whose protection fits the secret.
static const char *validate(int is_wrapped) {
    struct der parameters = {.count = 0}, signed_part = {.count = 0}, message = {.count = 0};
    mac_parameters(&parameters);
    const unsigned char *start = parameters.bytes;
    OWNED(OSSL_CRMF_PBMPARAMETER) decoded = d2i_OSSL_CRMF_PBMPARAMETER(NULL, &start, (long)parameters.count);
    NEED(decoded != NULL);
    size_t outer = der_start(&signed_part);
    header(&signed_part, 1, is_wrapped);
    body(&signed_part);
    der_end(&signed_part, outer, DER_SEQUENCE);
    unsigned char *mac = NULL;
    size_t size = 0;
    NEED(OSSL_CRMF_pbm_new(NULL, NULL, decoded, signed_part.bytes, signed_part.count, secret, sizeof secret, &mac,
                           &size)
         == 1);
    outer = der_start(&message);
    header(&message, 1, is_wrapped);
    body(&message);
    size_t tagged = der_start(&message);
    der_bits(&message, mac, size);
    der_end(&message, tagged, DER_CONTEXT(0));
    der_end(&message, outer, DER_SEQUENCE);
    OPENSSL_free(mac);
    OWNED(OSSL_CMP_MSG) read_message = read(&message);
    OWNED(OSSL_CMP_CTX) context = OSSL_CMP_CTX_new(NULL, NULL);
    NEED(read_message != NULL && context != NULL);
    OSSL_CMP_CTX_set_log_cb(context, say_nothing);
    NEED(OSSL_CMP_CTX_set1_secretValue(context, secret, sizeof secret) == 1);
    return OSSL_CMP_validate_msg(context, read_message) == 1 ? "accepted" : "rejected";
}

static const char *protection_legal(void) {
    NEED(strcmp(validate(0), "accepted") == 0);
    return "good";
}

// The parameter's type was not looked at: with other types than this harmless one the library read through a wild
// pointer.
static const char *parameter_type(void) { return validate(1); }

/// Sends a server a message that carries a certificate: how many certificates it holds then.
static const char *serve(int needs_protection, int *kept) {
    struct der message = {.count = 0};
    size_t outer = der_start(&message);
    header(&message, 0, 0);
    body(&message);
    size_t tagged = der_start(&message), list = der_start(&message);
    unsigned char *bytes = NULL;
    int size = i2d_X509(identities()->person.certificate, &bytes);
    NEED(size > 0);
    der_raw(&message, bytes, (size_t)size);
    OPENSSL_free(bytes);
    der_end(&message, list, DER_SEQUENCE);
    der_end(&message, tagged, DER_CONTEXT(1));
    der_end(&message, outer, DER_SEQUENCE);
    OWNED(OSSL_CMP_MSG) request = read(&message);
    OWNED(OSSL_CMP_SRV_CTX) server = OSSL_CMP_SRV_CTX_new(NULL, NULL);
    NEED(request != NULL && server != NULL);
    OSSL_CMP_CTX *context = OSSL_CMP_SRV_CTX_get0_cmp_ctx(server);
    OSSL_CMP_CTX_set_log_cb(context, say_nothing);
    if (!needs_protection) NEED(OSSL_CMP_SRV_CTX_set_accept_unprotected(server, 1) == 1);
    OSSL_CMP_MSG_free(OSSL_CMP_SRV_process_request(server, request));
    *kept = sk_X509_num(OSSL_CMP_CTX_get0_untrusted(context));
    return "good";
}

// A server that takes unprotected messages may keep what they bring.
static const char *server_legal(void) {
    int kept = 0;
    NEED_GOOD(serve(0, &kept));
    NEED(kept == 1);
    return "good";
}

// One that refuses them must not: anyone could fill its memory.
static const char *certificates_kept(void) {
    int kept = -2;
    NEED_GOOD(serve(1, &kept));
    return kept == 1 ? "kept 1" : kept <= 0 ? "kept 0" : "kept more";
}

const struct openssl_case management_cases[] = {
    {"CVE-2026-63076", protection_legal, parameter_type, HERE},
    {"CVE-2026-63074", server_legal, certificates_kept, HERE},
    {0},
};
