//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A live patch: what the builder makes of one fix for one target: replaced functions, their constants, the
/// relocations that are left, and the bytes that it expects to find.
///
/// (The module has the long name, so the type has the short one.) The model says nothing of files: `PatchReader`
/// and `PatchWriter` turn it into an ELF
/// relocatable object and back (Documentation/live-patch-format.md).
///
/// All addresses of the target are *target-relative*: the value that `p_vaddr` and `st_value` use in
/// the target's own file. The applier adds the load bias, and computes nothing else.
package struct Patch: Sendable, Equatable {
    /// The name that people use, unique within a target: `CVE-2026-75803`.
    package var identifier: String
    /// The one build of one ELF object that this patch fits.
    package var target: Target
    /// What is fixed, by whom it was judged, and how.
    package var provenance: Provenance
    /// What consistency applying and undoing needs.
    package var verdict: Verdict
    /// The functions that are replaced, sorted by address, never overlapping.
    package var entries: [Entry]
    /// Data of the target that are set, in the order in which they are written; taken back in the reverse order.
    package var fixUps: [FixUp]
    /// Machine code (replacements and gates), constants and unwind rules, in this order.
    package var image: Image
    /// Names for what lies in the image and for what the relocations point to; for people and
    /// debuggers only.
    package var symbols: [Symbol]
    /// Identifiers of patches (of any target) that must be applied in the same transaction or before.
    package var requires: [String]

    /// Makes a live patch of its parts.
    package init(
        identifier: String, target: Target, provenance: Provenance, verdict: Verdict, entries: [Entry],
        fixUps: [FixUp] = [], image: Image, symbols: [Symbol], requires: [String]
    ) {
        self.identifier = identifier
        self.target = target
        self.provenance = provenance
        self.verdict = verdict
        self.entries = entries
        self.fixUps = fixUps
        self.image = image
        self.symbols = symbols
        self.requires = requires
    }
}
