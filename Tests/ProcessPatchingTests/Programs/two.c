//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "halves.h"

uint64_t two_encode(uint64_t number, unsigned turns) { return dwell(number, turns) * ENCODE; }
uint64_t two_decode(uint64_t number, unsigned turns) { return dwell(number, turns) * DECODE; }
