//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Certificates that are held against records of the domain name system (DANE, RFC 6698, RFC 7671).

#include "case.h"
#include "identities.h"
#include <openssl/ssl.h>

OWNABLE(SSL_CTX, SSL_CTX_free)
OWNABLE(SSL, SSL_free)

/// A record's usage (RFC 7218).
enum usage { PKIX_EE = 1, DANE_TA = 2, DANE_EE = 3 };

/// A record for the public key of this certificate, by SHA-256.
static int add_record(SSL *client, enum usage usage, X509 *certificate) {
    unsigned char *bytes = NULL, digest[32];
    int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &bytes);
    int is_good = size > 0 && EVP_Digest(bytes, (size_t)size, digest, NULL, EVP_sha256(), NULL) == 1;
    OPENSSL_free(bytes);
    return is_good && SSL_dane_tlsa_add(client, usage, 1, 1, digest, sizeof digest) == 1;
}

/// Goes on with both sides in turn, in memory, until both are done or one fails.
static int shake_hands(SSL *client, SSL *server) {
    for (int turn = 0; turn < 20; turn++) {
        int first = SSL_do_handshake(client), second = SSL_do_handshake(server);
        if (first == 1 && second == 1) return 1;
        int first_error = SSL_get_error(client, first), second_error = SSL_get_error(server, second);
        if ((first != 1 && first_error != SSL_ERROR_WANT_READ) || (second != 1 && second_error != SSL_ERROR_WANT_READ))
            return 0;
    }
    return 0;
}

/// Connects a client with records for the server's certificate (its usage) and for the authority's.
static const char *connect(enum usage for_server, int has_authority) {
    const struct identities *all = identities();
    OWNED(SSL_CTX) clients = SSL_CTX_new(TLS_client_method());
    OWNED(SSL_CTX) servers = SSL_CTX_new(TLS_server_method());
    NEED(SSL_CTX_use_certificate(servers, all->server.certificate) == 1);
    NEED(SSL_CTX_use_PrivateKey(servers, all->server.key) == 1);
    NEED(SSL_CTX_add0_chain_cert(servers, (X509_up_ref(all->authority.certificate), all->authority.certificate)) == 1);
    NEED(SSL_CTX_dane_enable(clients) == 1);
    // An authority that is trusted anyway needs no record: such a record is not looked at.
    if (!has_authority)
        NEED(X509_STORE_add_cert(SSL_CTX_get_cert_store(clients), all->authority.certificate) == 1);
    OWNED(SSL) client = SSL_new(clients);
    OWNED(SSL) server = SSL_new(servers);
    BIO *ends[2];
    NEED(BIO_new_bio_pair(&ends[0], 65536, &ends[1], 65536) == 1);
    SSL_set_bio(client, ends[0], ends[0]);
    SSL_set_bio(server, ends[1], ends[1]);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    SSL_set_verify(client, SSL_VERIFY_PEER, NULL);
    NEED(SSL_dane_enable(client, "server.example") == 1);
    NEED(add_record(client, for_server, all->server.certificate));
    if (has_authority) NEED(add_record(client, DANE_TA, all->authority.certificate));
    if (!shake_hands(client, server)) return "refused";
    return SSL_get_verify_result(client) == X509_V_OK ? "accepted" : "not verified";
}

static const char *records_legal(void) {
    NEED(strcmp(connect(DANE_EE, 0), "accepted") == 0);
    NEED(strcmp(connect(PKIX_EE, 0), "accepted") == 0);
    return "good";
}

// The server's certificate matches first, then the authority's: the first was given back as if it were bare memory.
static const char *two_matches(void) { return connect(PKIX_EE, 1); }

const struct openssl_case dane_cases[] = {
    {"CVE-2026-28387", records_legal, two_matches, GUARDED_CHILD},
    {0},
};
