//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Messages of the Cryptographic Message Syntax (RFC 5652), written by hand or by the library, and read by it.

#ifndef MESSAGE_H
#define MESSAGE_H

#include "case.h"
#include "der.h"
#include <openssl/cms.h>

OWNABLE(CMS_ContentInfo, CMS_ContentInfo_free)

enum { CONTENT_KEY = 16, BLOCK = 16 };

#define OID_DATA "1.2.840.113549.1.7.1"
#define OID_AES_CBC "2.16.840.1.101.3.4.1.2"
#define OID_AES_CFB "2.16.840.1.101.3.4.1.4"
#define OID_AES_WRAP "2.16.840.1.101.3.4.1.5"
#define OID_AES_GCM "2.16.840.1.101.3.4.1.6"
#define OID_AES_WRAP_PAD "2.16.840.1.101.3.4.1.8"

/// The text in every message.
extern const char message_text[];
/// The key that the content of hand-written messages is encrypted with, and the IV.
extern const unsigned char content_key[CONTENT_KEY];
extern const unsigned char message_iv[BLOCK];

/// One message by hand. All parts are encoded.
struct parts {
    /// The one RecipientInfo.
    struct der recipient;
    /// The content's AlgorithmIdentifier.
    struct der algorithm;
    /// The encrypted content.
    unsigned char content[256];
    size_t content_size;
    /// The message authentication code of AuthEnvelopedData; a size of 0 makes EnvelopedData.
    unsigned char tag[16];
    size_t tag_size;
};

/// Encrypts message_text with content_key and AES-128-CBC or AES-128-GCM, and fills in content and its algorithm.
const char *encrypt_content(struct parts *parts, int is_gcm);

/// The library's reading of the message; null if it cannot be read.
CMS_ContentInfo *message_of(const struct parts *parts);

/// An AlgorithmIdentifier whose parameter is this octet string.
void algorithm_with_octets(struct der *der, const char *numbers, const void *octets, size_t count);

/// IssuerAndSerialNumber of a certificate.
void issuer_and_serial(struct der *der, X509 *certificate);

/// Encrypts with AES-128: `name` is a cipher without padding; gives the size, 0 for failure.
size_t encrypt_blocks_of(const char *name, const unsigned char *key, const unsigned char *iv, const unsigned char *in,
                         size_t size, unsigned char *out);

/// Decrypts a message with a key and certificate, or with neither after a secret was set: "accepted" if the text comes
/// out, else "refused".
const char *open_message(CMS_ContentInfo *message, EVP_PKEY *key, X509 *certificate);

/// A new message of the library's, not final yet, to which recipients are to be added.
CMS_ContentInfo *new_message(const EVP_CIPHER *cipher);

/// Ends a message, writes it and reads it again, as a recipient gets it; null if that fails.
CMS_ContentInfo *sent_message(CMS_ContentInfo *message);

/// Legal uses that more than one case has: messages for a password, and messages for a shared key.
const char *use_passwords(void);
const char *use_envelopes(void);

#endif
