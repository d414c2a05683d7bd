//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "message.h"

const char message_text[] = "wait until it moults, then fly away";
const unsigned char content_key[CONTENT_KEY] = {0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47};
const unsigned char message_iv[BLOCK] = {0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67};

void algorithm_with_octets(struct der *der, const char *numbers, const void *octets, size_t count) {
    size_t start = der_start(der);
    der_object(der, numbers);
    der_value(der, DER_OCTETS, octets, count);
    der_end(der, start, DER_SEQUENCE);
}

void issuer_and_serial(struct der *der, X509 *certificate) {
    unsigned char *bytes = NULL;
    size_t start = der_start(der);
    int size = i2d_X509_NAME(X509_get_issuer_name(certificate), &bytes);
    if (size > 0) der_raw(der, bytes, (size_t)size);
    OPENSSL_free(bytes);
    bytes = NULL;
    size = i2d_ASN1_INTEGER(X509_get0_serialNumber(certificate), &bytes);
    if (size > 0) der_raw(der, bytes, (size_t)size);
    OPENSSL_free(bytes);
    der_end(der, start, DER_SEQUENCE);
}

size_t encrypt_blocks_of(const char *name, const unsigned char *key, const unsigned char *iv, const unsigned char *in,
                         size_t size, unsigned char *out) {
    OWNED(EVP_CIPHER) cipher = EVP_CIPHER_fetch(NULL, name, NULL);
    OWNED(EVP_CIPHER_CTX) context = EVP_CIPHER_CTX_new();
    int first = 0, last = 0;
    EVP_CIPHER_CTX_set_flags(context, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    if (EVP_EncryptInit_ex(context, cipher, NULL, key, iv) != 1 || EVP_CIPHER_CTX_set_padding(context, 0) != 1
        || EVP_EncryptUpdate(context, out, &first, in, (int)size) != 1
        || EVP_EncryptFinal_ex(context, out + first, &last) != 1)
        return 0;
    return (size_t)(first + last);
}

const char *encrypt_content(struct parts *parts, int is_gcm) {
    OWNED(EVP_CIPHER_CTX) context = EVP_CIPHER_CTX_new();
    int first = 0, last = 0;
    NEED(EVP_EncryptInit_ex(context, is_gcm ? EVP_aes_128_gcm() : EVP_aes_128_cbc(), NULL, content_key, message_iv)
         == 1);
    NEED(EVP_EncryptUpdate(context, parts->content, &first, (const unsigned char *)message_text,
                           (int)strlen(message_text))
         == 1);
    NEED(EVP_EncryptFinal_ex(context, parts->content + first, &last) == 1);
    parts->content_size = (size_t)(first + last);
    parts->algorithm.count = 0;
    parts->tag_size = 0;
    if (!is_gcm) {
        algorithm_with_octets(&parts->algorithm, OID_AES_CBC, message_iv, BLOCK);
        return "good";
    }
    // GCMParameters (RFC 5084, section 3.2): nonce and size of the tag.
    size_t start = der_start(&parts->algorithm);
    der_object(&parts->algorithm, OID_AES_GCM);
    size_t inner = der_start(&parts->algorithm);
    der_value(&parts->algorithm, DER_OCTETS, message_iv, 12);
    der_number(&parts->algorithm, 16);
    der_end(&parts->algorithm, inner, DER_SEQUENCE);
    der_end(&parts->algorithm, start, DER_SEQUENCE);
    NEED(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, parts->tag) == 1);
    parts->tag_size = 16;
    return "good";
}

CMS_ContentInfo *message_of(const struct parts *parts) {
    struct der der;
    der.count = 0;
    size_t outer = der_start(&der);
    der_object(&der, parts->tag_size == 0 ? "1.2.840.113549.1.7.3" : "1.2.840.113549.1.9.16.1.23");
    size_t tagged = der_start(&der);
    size_t enveloped = der_start(&der);
    der_number(&der, 0);
    der_value(&der, DER_SET, parts->recipient.bytes, parts->recipient.count);
    size_t content = der_start(&der);
    der_object(&der, OID_DATA);
    der_raw(&der, parts->algorithm.bytes, parts->algorithm.count);
    der_value(&der, DER_CONTEXT_PRIMITIVE(0), parts->content, parts->content_size);
    der_end(&der, content, DER_SEQUENCE);
    if (parts->tag_size != 0) der_value(&der, DER_OCTETS, parts->tag, parts->tag_size);
    der_end(&der, enveloped, DER_SEQUENCE);
    der_end(&der, tagged, DER_CONTEXT(0));
    der_end(&der, outer, DER_SEQUENCE);
    const unsigned char *start = der.bytes;
    return d2i_CMS_ContentInfo(NULL, &start, (long)der.count);
}

const char *open_message(CMS_ContentInfo *message, EVP_PKEY *key, X509 *certificate) {
    OWNED(BIO) output = BIO_new(BIO_s_mem());
    // Without the flag a key that cannot be unwrapped is replaced by a random one, against those who guess.
    if (CMS_decrypt(message, key, certificate, NULL, output, CMS_DEBUG_DECRYPT) != 1) return "refused";
    return holds(output, message_text) ? "accepted" : "another text";
}

CMS_ContentInfo *new_message(const EVP_CIPHER *cipher) {
    return CMS_encrypt(NULL, NULL, cipher, CMS_BINARY | CMS_PARTIAL);
}

CMS_ContentInfo *sent_message(CMS_ContentInfo *message) {
    OWNED(BIO) input = BIO_new_mem_buf(message_text, (int)strlen(message_text));
    unsigned char *bytes = NULL;
    if (CMS_final(message, input, NULL, CMS_BINARY) != 1) return NULL;
    int size = i2d_CMS_ContentInfo(message, &bytes);
    const unsigned char *start = bytes;
    CMS_ContentInfo *read = size > 0 ? d2i_CMS_ContentInfo(NULL, &start, size) : NULL;
    OPENSSL_free(bytes);
    return read;
}
