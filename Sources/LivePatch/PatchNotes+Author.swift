//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// What the author of a recipe answers for, as notes: several texts in one descriptor, a NUL between them (no text
/// holds one).
extension Provenance.Waiver {
    /// The descriptor of its note.
    var descriptor: [UInt8] { [reason, object, subject, use?.rawValue ?? "", because].descriptor }

    /// Reads the descriptor of a note.
    ///
    /// - Throws: `PatchFormatError` (`malformed`).
    init(descriptor: [UInt8]) throws(PatchFormatError) {
        let texts = descriptor.texts
        guard texts.count == 5, texts[3].isEmpty || Provenance.DataUse(rawValue: texts[3]) != nil else {
            throw PatchFormatError(.malformed, "a waiver is not understood")
        }
        self.init(
            reason: texts[0], object: texts[1], subject: texts[2], use: Provenance.DataUse(rawValue: texts[3]),
            because: texts[4])
    }
}

extension Provenance.Adaptation {
    /// The descriptor of its note.
    var descriptor: [UInt8] { [name, because].descriptor }

    /// Reads the descriptors of all notes of its type, of which there is at most one.
    ///
    /// - Throws: `PatchFormatError` (`malformed`).
    static func read(_ descriptors: [[UInt8]]) throws(PatchFormatError) -> Provenance.Adaptation? {
        guard let first = descriptors.first else { return nil }
        let texts = first.texts
        guard descriptors.count == 1, texts.count == 2 else {
            throw PatchFormatError(.malformed, "an adaptation is not understood, or there twice")
        }
        return Provenance.Adaptation(name: texts[0], because: texts[1])
    }
}

extension [String] {
    fileprivate var descriptor: [UInt8] { [UInt8](map { [UInt8]($0.utf8) }.joined(separator: [0])) }
}

extension [UInt8] {
    fileprivate var texts: [String] {
        split(separator: 0, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
    }
}

extension Provenance {
    /// Checks what the author answers for: nothing is answered for twice or without a word why.
    ///
    /// - Throws: `PatchFormatError` (`inconsistent`).
    func validateAuthor() throws(PatchFormatError) {
        guard waivers.count <= PatchFormat.maximumWaivers else {
            throw PatchFormatError(.tooLarge, "more than \(PatchFormat.maximumWaivers) reasons are waived")
        }
        for (index, waiver) in waivers.enumerated() {
            guard !waiver.reason.isEmpty, !waiver.subject.isEmpty, !waiver.because.isEmpty,
                !waivers[..<index].contains(where: { $0.isAboutTheSame(as: waiver) })
            else { throw PatchFormatError(.inconsistent, "a waiver says nothing, or is there twice") }
        }
        guard let adaptation else { return }
        let ending = [UInt8]((" " + adaptation.name).utf8)
        guard !adaptation.name.isEmpty, !adaptation.because.isEmpty,
            inputs.contains(where: {
                $0.utf8.count > ending.count && [UInt8]($0.utf8).suffix(ending.count) == ending[...]
            })
        else {
            throw PatchFormatError(.inconsistent, "an adaptation says nothing, or its source patch is no input")
        }
    }

    /// All texts of it, to be checked as texts.
    var authorTexts: [String] {
        waivers.flatMap { [$0.reason, $0.object, $0.subject, $0.because] }
            + (adaptation.map { [$0.name, $0.because] } ?? [])
    }
}

extension Provenance.Waiver {
    /// Compared byte by byte: names that only look the same are two.
    fileprivate func isAboutTheSame(as other: Provenance.Waiver) -> Bool {
        [reason, object, subject].descriptor == [other.reason, other.object, other.subject].descriptor
    }
}
