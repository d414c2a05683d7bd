//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Keys and certificates of the cases: an authority, and those that it certified.

#ifndef IDENTITIES_H
#define IDENTITIES_H

#include <openssl/evp.h>
#include <openssl/x509.h>

struct identity {
    EVP_PKEY *key;
    X509 *certificate;
};

struct identities {
    struct identity authority;
    /// By elliptic curve P-256: a server, a person, a time-stamp service.
    struct identity server, person, timestamps;
    struct identity rsa;
    /// By Diffie-Hellman with a named group of RFC 5114 (X9.42).
    struct identity agreement;
    /// Whether all could be made.
    int are_made;
};

/// Made at first use, never changed after, and so usable by any thread.
const struct identities *identities(void);

/// A certificate of this key by the authority, with an extension (0: none) as in openssl's configuration.
X509 *certified(EVP_PKEY *key, const char *name, const struct identity *authority, int extension, const char *value);

#endif
