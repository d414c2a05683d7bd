//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "halves.h"

// Data that a patch may set. The old functions do not look at them; the new ones (SET_DATA) answer rightly only if all
// three are set, each in another section.
#define HIDDEN __attribute__((visibility("hidden")))
HIDDEN uint64_t one_idle(uint64_t number, unsigned turns) { return dwell(number, turns); }
HIDDEN uint64_t (*const one_slot)(uint64_t, unsigned) = one_idle;
HIDDEN const uint32_t one_factor[2] = {1, 1};
HIDDEN volatile uint8_t one_share = 1;

#ifdef SET_DATA
// What a constant holds, so that the compiler does not know it.
#define READ(constant) (*({ __typeof__(&(constant)) place = &(constant); __asm__("" : "+r"(place)); place; }))
// 7 + 4 = MIX
uint64_t one_mix(uint64_t number, unsigned turns) { return dwell(number, turns) * (READ(one_factor[1]) + one_share); }
#define MIXED READ(one_slot)
#else
uint64_t one_mix(uint64_t number, unsigned turns) { return dwell(number, turns) * MIX; }
#define MIXED one_mix
#endif

uint64_t one_run(uint64_t number, unsigned turns) {
    uint64_t mixed = MIXED(number, turns);
    uint64_t encoded = two_encode(mixed, turns);
    return dwell(two_decode(encoded, turns), turns) * RUN;
}
