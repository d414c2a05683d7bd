//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// The little of DER (ITU-T X.690) that is needed to write a message by hand. A value is written by its contents first:
//
//     size_t start = der_start(&message);
//     ... contents ...
//     der_end(&message, start, DER_SEQUENCE);

#ifndef DER_H
#define DER_H

#include <stddef.h>
#include <stdint.h>

struct der {
    unsigned char bytes[16384];
    size_t count;
};

enum {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_BITS = 0x03,
    DER_OCTETS = 0x04,
    DER_OBJECT = 0x06,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
};
/// A context-specific tag of a constructed and of a primitive value.
#define DER_CONTEXT(number) (0xa0 | (number))
#define DER_CONTEXT_PRIMITIVE(number) (0x80 | (number))

size_t der_start(const struct der *der);
void der_end(struct der *der, size_t start, unsigned char tag);

/// Bytes as they are: contents, or a value that is encoded already.
void der_raw(struct der *der, const void *bytes, size_t count);
/// A value whose contents are given.
void der_value(struct der *der, unsigned char tag, const void *contents, size_t count);
/// An integer below 128.
void der_number(struct der *der, unsigned char number);
/// An object identifier in dotted numbers.
void der_object(struct der *der, const char *numbers);
/// A bit string of whole bytes.
void der_bits(struct der *der, const void *bytes, size_t count);
/// An AlgorithmIdentifier without parameters.
void der_algorithm(struct der *der, const char *numbers);

#endif
