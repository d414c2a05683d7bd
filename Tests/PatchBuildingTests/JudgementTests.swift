//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import PatchBuilding
import Testing

@Suite("The words of a judgement")
struct JudgementTests {
    @Test("Reason codes are words of lower case letters and hyphens, each its own")
    func codes() {
        let words = Reason.Code.allCases.map(\.rawValue)
        #expect(Set(words).count == words.count)
        for word in words {
            #expect(word.allSatisfy { $0.isLowercase || $0 == "-" }, "\(word)")
        }
    }
}
