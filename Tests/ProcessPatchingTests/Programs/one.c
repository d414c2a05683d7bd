//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "halves.h"

uint64_t one_mix(uint64_t number, unsigned turns) { return dwell(number, turns) * MIX; }

uint64_t one_run(uint64_t number, unsigned turns) {
    uint64_t mixed = one_mix(number, turns);
    uint64_t encoded = two_encode(mixed, turns);
    return dwell(two_decode(encoded, turns), turns) * RUN;
}
