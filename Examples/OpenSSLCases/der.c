//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "der.h"
#include <stdlib.h>
#include <string.h>

size_t der_start(const struct der *der) { return der->count; }

void der_raw(struct der *der, const void *bytes, size_t count) {
    // Messages are small and of our own making; one that is not is a mistake in a case.
    if (count > sizeof der->bytes - der->count) abort();
    memcpy(der->bytes + der->count, bytes, count);
    der->count += count;
}

void der_end(struct der *der, size_t start, unsigned char tag) {
    size_t length = der->count - start;
    unsigned char head[4] = {tag};
    size_t count = 2;
    if (length < 0x80) {
        head[1] = (unsigned char)length;
    } else if (length < 0x100) {
        head[1] = 0x81;
        head[2] = (unsigned char)length;
        count = 3;
    } else {
        head[1] = 0x82;
        head[2] = (unsigned char)(length >> 8);
        head[3] = (unsigned char)length;
        count = 4;
    }
    der_raw(der, head, count);
    memmove(der->bytes + start + count, der->bytes + start, length);
    memcpy(der->bytes + start, head, count);
}

void der_value(struct der *der, unsigned char tag, const void *contents, size_t count) {
    size_t start = der_start(der);
    der_raw(der, contents, count);
    der_end(der, start, tag);
}

void der_number(struct der *der, unsigned char number) { der_value(der, DER_INTEGER, &number, 1); }

void der_object(struct der *der, const char *numbers) {
    size_t start = der_start(der);
    unsigned long first = strtoul(numbers, (char **)&numbers, 10);
    unsigned long value = first * 40 + strtoul(numbers + 1, (char **)&numbers, 10);
    for (;;) {
        unsigned char groups[10];
        size_t count = 0;
        do {
            count++;
            groups[sizeof groups - count] = (unsigned char)((value & 0x7f) | (count > 1 ? 0x80 : 0));
        } while ((value >>= 7) != 0);
        der_raw(der, groups + sizeof groups - count, count);
        if (*numbers != '.') break;
        value = strtoul(numbers + 1, (char **)&numbers, 10);
    }
    der_end(der, start, DER_OBJECT);
}

void der_bits(struct der *der, const void *bytes, size_t count) {
    size_t start = der_start(der);
    der_raw(der, "", 1); // no unused bits
    der_raw(der, bytes, count);
    der_end(der, start, DER_BITS);
}

void der_algorithm(struct der *der, const char *numbers) {
    size_t start = der_start(der);
    der_object(der, numbers);
    der_end(der, start, DER_SEQUENCE);
}
