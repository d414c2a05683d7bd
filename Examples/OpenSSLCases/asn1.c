//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// ASN.1: texts and contents so long that their length does not fit into an int.

#include "case.h"
#include "der.h"
#include <openssl/asn1.h>
#include <sys/mman.h>

static const size_t gib = (size_t)1 << 30;

/// Address space that reads as zeros and takes no memory.
static unsigned char *zeros(size_t size, int protection) {
    void *memory = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static const char *convert(const char *input, int size, int form, unsigned long mask, const char *expected,
                           int expected_size) {
    ASN1_STRING *made = NULL;
    int type = ASN1_mbstring_copy(&made, (const unsigned char *)input, size, form, mask);
    NEED(type > 0 && made != NULL);
    int is_good = ASN1_STRING_length(made) == expected_size
        && memcmp(ASN1_STRING_get0_data(made), expected, (size_t)expected_size) == 0;
    ASN1_STRING_free(made);
    NEED(is_good);
    return "good";
}

static const char *texts_legal(void) {
    NEED_GOOD(convert("A\xc3\xa4", 3, MBSTRING_UTF8, B_ASN1_BMPSTRING, "\0A\0\xe4", 4));
    NEED_GOOD(convert("A\xe4", 2, MBSTRING_ASC, B_ASN1_UTF8STRING, "A\xc3\xa4", 3));
    NEED_GOOD(convert("\x20\xac", 2, MBSTRING_BMP, B_ASN1_UTF8STRING, "\xe2\x82\xac", 3));
    NEED_GOOD(convert("A", 1, MBSTRING_UTF8, B_ASN1_UNIVERSALSTRING, "\0\0\0A", 4));
    NEED_GOOD(convert("A", 1, MBSTRING_UTF8, B_ASN1_PRINTABLESTRING, "A", 1));
    ASN1_STRING *made = NULL;
    NEED(ASN1_mbstring_copy(&made, (const unsigned char *)"\xff", 1, MBSTRING_UTF8, B_ASN1_UTF8STRING) < 0);
    NEED(made == NULL);
    return "good";
}

// 2^30 characters of four bytes each: their size is 0 in an int.
static const char *long_text(void) {
    unsigned char *input = zeros(gib, PROT_READ);
    NEED(input != NULL);
    ASN1_STRING *made = NULL;
    int type = ASN1_mbstring_copy(&made, input, (int)gib, MBSTRING_ASC, B_ASN1_UNIVERSALSTRING);
    return type < 0 ? "refused" : "accepted";
}

static const char *contents_legal(void) {
    static const unsigned char sequence[] = {
        DER_SEQUENCE, 25, 0x01, 1, 0xff, 0x02, 1, 7, 0x03, 2, 0, 0xa5, 0x04, 1, 9, 0x05, 0, 0x06, 1, 0x2a, 0x1e, 2, 0,
        'A', 0x0a, 1, 3};
    const unsigned char *start = sequence;
    // Each value through the type "any", which comes through all of the kinds, and back.
    STACK_OF(ASN1_TYPE) *values = d2i_ASN1_SEQUENCE_ANY(NULL, &start, sizeof sequence);
    NEED(values != NULL);
    static const int types[] = {V_ASN1_BOOLEAN, V_ASN1_INTEGER,   V_ASN1_BIT_STRING, V_ASN1_OCTET_STRING,
                                V_ASN1_NULL,    V_ASN1_OBJECT,    V_ASN1_BMPSTRING,  V_ASN1_ENUMERATED};
    int count = (int)(sizeof types / sizeof types[0]);
    int is_good = sk_ASN1_TYPE_num(values) == count;
    for (int i = 0; is_good && i < count; i++) is_good = ASN1_TYPE_get(sk_ASN1_TYPE_value(values, i)) == types[i];
    unsigned char *written = NULL;
    is_good = is_good && i2d_ASN1_SEQUENCE_ANY(values, &written) == (int)sizeof sequence
        && memcmp(written, sequence, sizeof sequence) == 0;
    OPENSSL_free(written);
    sk_ASN1_TYPE_pop_free(values, ASN1_TYPE_free);
    NEED(is_good);
    // A string in two parts, of indefinite length.
    static const unsigned char parts[] = {0x24, 0x80, 0x04, 1, 'a', 0x04, 2, 'b', 'c', 0, 0};
    start = parts;
    ASN1_OCTET_STRING *whole = d2i_ASN1_OCTET_STRING(NULL, &start, sizeof parts);
    NEED(whole != NULL);
    is_good = ASN1_STRING_length(whole) == 3 && memcmp(ASN1_STRING_get0_data(whole), "abc", 3) == 0;
    ASN1_OCTET_STRING_free(whole);
    NEED(is_good);
    return "good";
}

// An octet string of 2^32 + 16 bytes, which are 16 in an int.
static const char *long_contents(void) {
    size_t size = 4 * gib + 4096;
    unsigned char *message = zeros(size, PROT_READ | PROT_WRITE);
    NEED(message != NULL);
    static const unsigned char head[] = {DER_OCTETS, 0x85, 0x01, 0x00, 0x00, 0x00, 0x10};
    memcpy(message, head, sizeof head);
    const unsigned char *start = message;
    ASN1_OCTET_STRING *read = d2i_ASN1_OCTET_STRING(NULL, &start, (long)size);
    const char *outcome = read == NULL ? "rejected" : ASN1_STRING_length(read) == 16 ? "cut to 16" : "accepted";
    ASN1_OCTET_STRING_free(read);
    munmap(message, size);
    return outcome;
}

const struct openssl_case asn1_cases[] = {
    {"CVE-2026-7383", texts_legal, long_text, GUARDED_CHILD},
    {"CVE-2026-34180", contents_legal, long_contents, CHILD},
    {0},
};
