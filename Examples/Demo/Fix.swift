//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// What a client of the example's service can see of one fix.
struct Fix: Sendable {
    /// The recipe's file name without extension, which is the live patch's identifier.
    var identifier: String
    /// Command that makes use of the hole, and what it answers without and with the fix.
    var command: String
    /// The answer where the hole is open.
    var vulnerable: String
    /// The answer where it is closed.
    var fixed: String
    /// Command for the legal use, which must answer `good` always.
    var legalUse: String
    /// Whether every session asks, or only one (a probe that needs a child process).
    var everywhere: Bool

    /// All fixes of the demo, all for Debian's libssl3.
    static let all = [
        Fix(
            identifier: "CVE-2026-75803", command: "ocb", vulnerable: "accepted", fixed: "rejected",
            legalUse: "ocb-good", everywhere: true),
        Fix(
            identifier: "CVE-2026-63076", command: "cmp-parameter", vulnerable: "accepted", fixed: "rejected",
            legalUse: "cmp-parameter-good", everywhere: true),
        Fix(
            identifier: "CVE-2026-63074", command: "cmp-certificates", vulnerable: "kept 1", fixed: "kept 0",
            legalUse: "cmp-certificates-good", everywhere: true),
        Fix(
            identifier: "CVE-2026-42767", command: "crmf", vulnerable: "crashed", fixed: "refused",
            legalUse: "crmf-good", everywhere: false),
        Fix(
            identifier: "ccm-final-tag", command: "ccm", vulnerable: "accepted", fixed: "rejected",
            legalUse: "ccm-good", everywhere: true),
    ]
}
