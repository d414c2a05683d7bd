//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Texts: hexadecimal numbers, names in UTF-16, names of servers, lines.

#include "case.h"
#include <openssl/crypto.h>
#include <openssl/http.h>
#include <openssl/pkcs12.h>
#include <stdint.h>
#include <stdlib.h>

static const char *hexadecimal_legal(void) {
    static const unsigned char bytes[] = {0x00, 0x1f, 0xa0, 0xff};
    char text[16];
    size_t size = 0;
    char *made = OPENSSL_buf2hexstr(bytes, sizeof bytes);
    int is_good = made != NULL && strcmp(made, "00:1F:A0:FF") == 0;
    OPENSSL_free(made);
    NEED(is_good);
    made = OPENSSL_buf2hexstr(bytes, 0);
    is_good = made != NULL && *made == 0;
    OPENSSL_free(made);
    NEED(is_good);
    NEED(OPENSSL_buf2hexstr_ex(text, sizeof text, &size, bytes, sizeof bytes, '-') == 1);
    NEED(size == 12 && strcmp(text, "00-1F-A0-FF") == 0);
    NEED(OPENSSL_buf2hexstr_ex(text, sizeof text, &size, bytes, sizeof bytes, '\0') == 1);
    NEED(size == 9 && strcmp(text, "001FA0FF") == 0);
    NEED(OPENSSL_buf2hexstr_ex(text, 8, &size, bytes, sizeof bytes, '\0') == 0);
    return "good";
}

// Three characters for each of 2^64 / 3 + 1 bytes: 2 in a size. A caller that asks for the room and then writes would
// write without end.
static const char *hexadecimal_size(void) {
    size_t size = 0;
    int is_told = OPENSSL_buf2hexstr_ex(NULL, 0, &size, (const unsigned char *)"", SIZE_MAX / 3 + 1, ':');
    // The other function takes a signed size; this one times three is 1.
    char *(*volatile text_of)(const unsigned char *, long) = OPENSSL_buf2hexstr;
    int is_refused = !is_told;
    if (is_refused) is_refused = text_of((const unsigned char *)"", (long)(SIZE_MAX / 3 * 2 + 1)) == NULL;
    return is_refused ? "refused" : size == 2 ? "room for 2" : "accepted";
}

static const char *name_of(const char *utf16, int size, const char *expected) {
    char *name = OPENSSL_uni2utf8((const unsigned char *)utf16, size);
    NEED(name != NULL);
    int is_good = strcmp(name, expected) == 0;
    OPENSSL_free(name);
    NEED(is_good);
    return "good";
}

static const char *names_legal(void) {
    NEED_GOOD(name_of("\0A\0\xe4\0\0", 6, "A\xc3\xa4"));
    NEED_GOOD(name_of("\0A\0\xe4", 4, "A\xc3\xa4"));
    NEED_GOOD(name_of("\x20\xac\0A\0\0", 6, "\xe2\x82\xac" "A"));
    // A pair of surrogates: one character.
    NEED_GOOD(name_of("\xd8\x3d\xdc\x26", 4, "\xf0\x9f\x90\xa6"));
    // Not UTF-16: read as single bytes.
    NEED_GOOD(name_of("\xd8\x00\0A", 4, ""));
    return "good";
}

// A name that ends with a character of three bytes in UTF-8, for which the library left room for two.
static const char *name_at_end(void) {
    char *name = OPENSSL_uni2utf8((const unsigned char *)"\0A\x20\xac", 4);
    if (name == NULL) return "refused";
    const char *outcome = strcmp(name, "A\xe2\x82\xac") == 0 ? "whole" : *name == 0 ? "empty" : "cut";
    OPENSSL_free(name);
    return outcome;
}

static const char *proxy = "http://proxy.example:3128";

/// Leaves no zero in the memory that the next call has its variables in.
__attribute__((noinline)) static void paint_stack(void) {
    volatile char room[16384];
    for (size_t i = 0; i < sizeof room; i++) room[i] = 'x';
}

static int uses_proxy(const char *exceptions, const char *server) {
    paint_stack();
    return OSSL_HTTP_adapt_proxy(proxy, exceptions, server, 0) != NULL;
}

static const char *proxy_legal(void) {
    NEED(uses_proxy("other.example", "server.example"));
    NEED(!uses_proxy("other.example, server.example", "server.example"));
    NEED(uses_proxy("[::2]", "[::1]"));
    NEED(!uses_proxy("127.0.0.1", "127.0.0.1"));
    return "good";
}

// An address of IPv6 is copied without its brackets, and without a zero at its end: what lies behind it belongs to it.
static const char *proxy_exception(void) { return uses_proxy("::1", "[::1]") ? "not found" : "found"; }

static const char *lines_legal(void) {
    OWNED(BIO) lines = BIO_new(BIO_f_linebuffer());
    BIO *memory = BIO_new(BIO_s_mem());
    static char many[12001];
    memset(many, 'a', sizeof many - 1);
    NEED(BIO_push(lines, memory) != NULL);
    NEED(BIO_write(lines, "first\nsec", 9) == 9);
    NEED(holds(memory, "first\n"));
    NEED(BIO_write(lines, "ond\n", 4) == 4);
    NEED(holds(memory, "first\nsecond\n"));
    NEED(BIO_write(lines, "rest", 4) == 4);
    NEED(BIO_flush(lines) == 1 && holds(memory, "first\nsecond\nrest"));
    // More than the buffer holds, without an end of line.
    NEED(BIO_write(lines, many, sizeof many - 1) == (int)sizeof many - 1);
    NEED(BIO_flush(lines) == 1);
    char *bytes;
    NEED(BIO_get_mem_data(memory, &bytes) == (long)(17 + sizeof many - 1));
    return "good";
}

// The next takes only a part of a long line; the rest is more than the buffer holds.
static const char *lines_short_write(void) {
    BIO *end, *other;
    static char many[30000];
    OWNED(BIO) lines = BIO_new(BIO_f_linebuffer());
    NEED(BIO_new_bio_pair(&end, 100, &other, 100) == 1);
    NEED(BIO_push(lines, end) != NULL);
    memset(many, 'a', sizeof many);
    int count = BIO_write(lines, many, sizeof many);
    BIO_free(other);
    // The part that was taken, and a buffer full.
    return count == 100 + 10240 ? "held back" : "accepted";
}

const struct openssl_case string_cases[] = {
    {"CVE-2026-31789", hexadecimal_legal, hexadecimal_size, CHILD},
    {"CVE-2025-69419", names_legal, name_at_end, HERE},
    {"CVE-2025-9232", proxy_legal, proxy_exception, HERE},
    {"CVE-2025-68160", lines_legal, lines_short_write, GUARDED_CHILD},
    {0},
};
