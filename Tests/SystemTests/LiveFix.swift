//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// What the case of one fix (Examples/OpenSSLCases) shows of it from outside.
struct LiveFix: Sendable {
    /// The recipe's file name without extension: identifier of the live patch, and name of the case.
    var identifier: String
    /// Outcome of the hostile input where the hole is open.
    var vulnerable: String
    /// Outcome where it is closed.
    var fixed: String
    /// The hostile input takes seconds of a processor: it is not tried more often than it must be.
    var isSlow = false

    /// The fixes whose verdict lets them be applied.
    static let all = [
        LiveFix(identifier: "CVE-2025-9230", vulnerable: "crashed", fixed: "refused"),
        LiveFix(identifier: "CVE-2025-9232", vulnerable: "not found", fixed: "found"),
        LiveFix(identifier: "CVE-2025-15467", vulnerable: "crashed", fixed: "refused"),
        LiveFix(identifier: "CVE-2025-68160", vulnerable: "crashed", fixed: "held back"),
        LiveFix(identifier: "CVE-2025-69418", vulnerable: "rest left out", fixed: "rest encrypted"),
        LiveFix(identifier: "CVE-2025-69419", vulnerable: "empty", fixed: "whole"),
        LiveFix(identifier: "CVE-2025-69420", vulnerable: "crashed", fixed: "refused"),
        LiveFix(identifier: "CVE-2025-69421", vulnerable: "crashed", fixed: "refused"),
        LiveFix(identifier: "CVE-2026-7383", vulnerable: "crashed", fixed: "refused", isSlow: true),
        LiveFix(identifier: "CVE-2026-9076", vulnerable: "crashed", fixed: "refused"),
        LiveFix(identifier: "CVE-2026-22795", vulnerable: "crashed", fixed: "refused"),
        LiveFix(identifier: "CVE-2026-22796", vulnerable: "crashed", fixed: "refused"),
        LiveFix(identifier: "CVE-2026-28387", vulnerable: "crashed", fixed: "accepted"),
        LiveFix(identifier: "CVE-2026-28388", vulnerable: "crashed", fixed: "left out"),
        LiveFix(identifier: "CVE-2026-28389", vulnerable: "crashed", fixed: "refused"),
        LiveFix(identifier: "CVE-2026-28390", vulnerable: "crashed", fixed: "refused"),
        LiveFix(identifier: "CVE-2026-31789", vulnerable: "room for 2", fixed: "refused"),
        LiveFix(identifier: "CVE-2026-31790", vulnerable: "nothing wrapped", fixed: "refused"),
        LiveFix(identifier: "CVE-2026-34180", vulnerable: "cut to 16", fixed: "rejected"),
        LiveFix(identifier: "CVE-2026-34182", vulnerable: "accepted", fixed: "refused"),
        LiveFix(identifier: "CVE-2026-42766", vulnerable: "crashed", fixed: "refused"),
        LiveFix(identifier: "CVE-2026-42767", vulnerable: "crashed", fixed: "refused"),
        LiveFix(identifier: "CVE-2026-42770", vulnerable: "accepted", fixed: "rejected"),
        LiveFix(identifier: "CVE-2026-45445", vulnerable: "iv ignored", fixed: "iv used"),
        LiveFix(identifier: "CVE-2026-45446", vulnerable: "accepted", fixed: "rejected"),
        LiveFix(identifier: "CVE-2026-45447", vulnerable: "freed", fixed: "kept"),
        LiveFix(identifier: "CVE-2026-63072", vulnerable: "crashed", fixed: "refused"),
        LiveFix(identifier: "CVE-2026-63074", vulnerable: "kept 1", fixed: "kept 0"),
        LiveFix(identifier: "CVE-2026-63076", vulnerable: "accepted", fixed: "rejected"),
        LiveFix(identifier: "CVE-2026-75803", vulnerable: "accepted", fixed: "rejected"),
        LiveFix(identifier: "ccm-final-tag", vulnerable: "accepted", fixed: "rejected"),
    ]
}
