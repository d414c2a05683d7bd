//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// Four functions in two libraries that belong together: each one multiplies by a prime that depends on its
// version, so that any mixture of versions gives an answer that neither version gives.

#include <stdint.h>

#ifdef NEW_VERSION
#define RUN 5
#define MIX 11
#define ENCODE 17
#define DECODE 23
#else
#define RUN 3
#define MIX 7
#define ENCODE 13
#define DECODE 19
#endif

#define OLD_PRODUCT (3ull * 7 * 13 * 19)
#define NEW_PRODUCT (5ull * 11 * 17 * 23)

uint64_t one_run(uint64_t number, unsigned turns);
uint64_t one_mix(uint64_t number, unsigned turns);
uint64_t two_encode(uint64_t number, unsigned turns);
uint64_t two_decode(uint64_t number, unsigned turns);

// Keeps the processor busy so that threads are met in the middle; does not change the number.
static inline uint64_t dwell(uint64_t number, unsigned turns) {
    for (unsigned turn = 0; turn < turns; turn++) __asm__ volatile("" : "+r"(number));
    return number;
}
