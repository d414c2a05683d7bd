//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import PatchBuilding
import Testing

@Suite struct OpenSSLBuildTests {}
