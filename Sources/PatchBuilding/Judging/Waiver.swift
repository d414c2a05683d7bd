//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import LivePatch

/// A reason that the author of a recipe has looked at and answers for.
package struct Waiver: Sendable, Equatable {
    /// What kind of reason it is.
    package var code: Reason.Code
    /// What the reason is about, as it says itself.
    package var subject: String
    /// The rebuilt object, where the subject's name is one of several; else empty.
    package var object: String
    /// Which contents of a changed datum the new functions use; nil if the author does not say: the old ones.
    package var use: Provenance.DataUse?
    /// Why it is safe, as a sentence.
    package var because: String
    /// Where it stands: `file:line`.
    package var place: String

    /// Makes a waiver of its parts.
    package init(
        _ code: Reason.Code, subject: String, object: String = "", use: Provenance.DataUse? = nil, because: String,
        place: String
    ) {
        self.code = code
        self.subject = subject
        self.object = object
        self.use = use
        self.because = because
        self.place = place
    }

    /// Whether it names this reason.
    func names(_ reason: Reason) -> Bool {
        code == reason.code && subject == reason.subject && (object.isEmpty || object == reason.object)
    }

    /// What is wrong with it, said with its place.
    func fault(_ code: PatchBuildingError.Code, _ text: String) -> PatchBuildingError {
        PatchBuildingError(code, "\(place): the waiver of \(self.code.rawValue) for \(subject): \(text)")
    }
}

/// What is left of the reasons after those that are waived.
struct WaivedReasons {
    /// The reasons that hinder still.
    let remaining: [Reason]
    /// Each waiver with the reasons that it answers for, at least one.
    let waived: [Outcome.Waived]

    /// Sorts reasons.
    ///
    /// - Throws: `PatchBuildingError`: `unusableWaiver` where a waiver cannot be, or means several things at once;
    ///   `unusedWaiver` where no reason needs it.
    init(_ reasons: [Reason], waivers: [Waiver]) throws(PatchBuildingError) {
        var taken: Set<Int> = []
        var waived: [Outcome.Waived] = []
        for waiver in waivers {
            guard waiver.code.isWaivable else {
                throw waiver.fault(.unusableWaiver, "this reason cannot be waived")
            }
            let found = reasons.indices.filter { waiver.names(reasons[$0]) && !taken.contains($0) }
            guard !found.isEmpty else {
                throw waiver.fault(
                    .unusedWaiver, "there is no such reason; the recipe is older than the fix or the builder")
            }
            let objects = Set(found.map { reasons[$0].object })
            guard objects.count == 1 else {
                let names = objects.sorted().joined(separator: ", ")
                throw waiver.fault(
                    .unusableWaiver, "several objects have one of this name (\(names)): say which 'object'")
            }
            taken.formUnion(found)
            waived.append(Outcome.Waived(waiver: waiver, reasons: found.map { reasons[$0] }))
        }
        self.waived = waived
        remaining = reasons.indices.filter { !taken.contains($0) }.map { reasons[$0] }
    }
}

extension Outcome.Waived {
    /// The waiver as the patch keeps it.
    package var record: Provenance.Waiver {
        let isData = waiver.code == .changedData
        return Provenance.Waiver(
            reason: waiver.code.rawValue, object: waiver.object, subject: waiver.subject,
            use: isData ? waiver.use ?? .old : nil, because: waiver.because)
    }
}
