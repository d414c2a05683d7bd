//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF

/// What must hold in every live patch. The writer checks it before it writes, the reader after it has read.
extension Patch {
    /// Checks that the parts fit together.
    ///
    /// - Throws: `PatchFormatError` with the first thing that is wrong.
    package func validate() throws(PatchFormatError) {
        guard target.machine == Machine.x86_64.rawValue else {
            throw PatchFormatError(.unsupportedMachine, "machine \(target.machine) is not supported")
        }
        guard (8...64).contains(target.buildID.count) else {
            throw PatchFormatError(.inconsistent, "a build-id of \(target.buildID.count) bytes instead of 8 to 64")
        }
        try validateText()
        try image.validate()
        try validateEntries()
        try validateRanges()
        try validateFixUps()
        for symbol in symbols { try validate(symbol) }
        guard symbols.reduce(0, { $0 + $1.name.utf8.count }) <= PatchFormat.maximumNames else {
            throw PatchFormatError(.tooLarge, "the names of the symbols are too long")
        }
    }

    // MARK: - Text

    private func validateText() throws(PatchFormatError) {
        try Self.checkIdentifier(identifier)
        guard requires.count <= PatchFormat.maximumRequires else {
            throw PatchFormatError(.tooLarge, "the patch requires \(requires.count) others; the format allows 64")
        }
        for required in requires { try Self.checkIdentifier(required) }
        for (index, required) in requires.enumerated() {
            guard !required.utf8.elementsEqual(identifier.utf8),
                !requires[..<index].contains(where: { $0.utf8.elementsEqual(required.utf8) })
            else { throw PatchFormatError(.inconsistent, "\(required) is required twice, or by itself") }
        }
        let texts =
            [
                target.name, target.package, target.packageVersion, provenance.partOf, provenance.source,
                provenance.suite,
                provenance.vulnerableVersion, provenance.fixedVersion,
            ] + provenance.cves + provenance.reasons + provenance.inputs + provenance.authorTexts
            + fixUps.flatMap { [$0.name, $0.because] }
        for text in texts { try Self.checkText(text) }
        try Self.checkSorted(provenance.cves, "CVE identifiers")
        try Self.checkSorted(provenance.inputs, "inputs")
        try provenance.validateAuthor()
    }

    /// An identifier is typed by people and compared by programs: visible ASCII, no spaces, 1 to 128 bytes.
    private static func checkIdentifier(_ text: String) throws(PatchFormatError) {
        guard (1...128).contains(text.utf8.count), text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
            throw PatchFormatError(.inconsistent, "an identifier is not 1 to 128 visible ASCII characters")
        }
    }

    /// Text is shown on terminals: no control characters (C0, DEL, C1).
    private static func checkText(_ text: String) throws(PatchFormatError) {
        for scalar in text.unicodeScalars where scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) {
            throw PatchFormatError(.inconsistent, "a text holds control characters")
        }
    }

    private static func checkSorted(_ list: [String], _ what: String) throws(PatchFormatError) {
        for index in list.indices.dropFirst()
        where !list[index - 1].utf8.lexicographicallyPrecedes(list[index].utf8) {
            throw PatchFormatError(.inconsistent, "the \(what) are not sorted, or one is there twice")
        }
    }

    private static func checkName(_ name: String) throws(PatchFormatError) {
        try checkText(name)
        guard !name.isEmpty, !name.utf8.starts(with: PatchFormat.reservedPrefix.utf8) else {
            throw PatchFormatError(.inconsistent, "the name '\(name)' is empty or reserved")
        }
    }

    // MARK: - Entries

    private func validateEntries() throws(PatchFormatError) {
        guard !entries.isEmpty else { throw PatchFormatError(.inconsistent, "the patch replaces no function") }
        var end: UInt64 = 0
        for entry in entries {
            try Self.checkName(entry.name)
            guard entry.address < PatchFormat.addressLimit else {
                throw PatchFormatError(.inconsistent, "\(entry.name) lies behind the address space")
            }
            guard entry.address >= end else {
                throw PatchFormatError(
                    .inconsistent, "\(entry.name) is not sorted by address, or overlaps another entry")
            }
            end = entry.address + UInt64(entry.expected.count)
            try Self.validatePrologue(of: entry)
            try Self.validateMasks(of: entry)
        }
    }

    /// The instructions cover the overwritten bytes and no instruction more, inside the function.
    private static func validatePrologue(of entry: Entry) throws(PatchFormatError) {
        var covered = 0
        for length in entry.prologue {
            guard covered < Entry.overwrittenSize, (1...15).contains(length) else {
                throw PatchFormatError(.inconsistent, "the prologue of \(entry.name) has an instruction that cannot be")
            }
            covered += Int(length)
        }
        guard covered >= Entry.overwrittenSize, covered <= entry.expected.count else {
            throw PatchFormatError(
                .inconsistent, "the prologue of \(entry.name) does not cover a jump, or is longer than the function")
        }
    }

    private static func validateMasks(of entry: Entry) throws(PatchFormatError) {
        var end: UInt64 = 0
        let prologueSize = entry.prologue.reduce(0) { $0 + UInt64($1) }
        for mask in entry.masked {
            let maskEnd = UInt64(mask.offset) + UInt64(mask.length)
            guard mask.length > 0, mask.offset >= end, maskEnd <= entry.expected.count else {
                throw PatchFormatError(
                    .inconsistent, "the masked ranges of \(entry.name) are not sorted, overlap or leave the function")
            }
            // The gate holds the prologue as the file has it, not as the dynamic linker makes it.
            guard entry.gate == nil || mask.offset >= prologueSize else {
                throw PatchFormatError(
                    .inconsistent, "\(entry.name) has a gate, but its prologue is written at load time")
            }
            end = maskEnd
        }
    }

    /// Replacements and gates lie in the code, and no two overlap.
    private func validateRanges() throws(PatchFormatError) {
        var ranges: [(start: UInt64, end: UInt64)] = []
        for entry in entries {
            ranges.append((UInt64(entry.replacement), UInt64(entry.replacement) + UInt64(entry.replacementSize)))
            guard let gate = entry.gate else { continue }
            let end = UInt64(gate.offset) + UInt64(gate.size)
            guard gate.original > gate.offset, gate.original < end else {
                throw PatchFormatError(.inconsistent, "the gate of \(entry.name) does not hold its relocated prologue")
            }
            ranges.append((UInt64(gate.offset), end))
        }
        ranges.sort { $0.start < $1.start }
        var end: UInt64 = 0
        for range in ranges {
            guard range.start >= end, range.end > range.start, range.end <= image.code.count else {
                throw PatchFormatError(
                    .inconsistent,
                    "a replacement or gate at \(range.start) is empty, overlaps another or leaves the code")
            }
            end = range.end
        }
    }

    // MARK: - Symbols

    private func validate(_ symbol: Symbol) throws(PatchFormatError) {
        try Self.checkName(symbol.name)
        try image.checkPlace(symbol.place, "symbol \(symbol.name)")
        switch symbol.place {
        case .target(let address):
            guard symbol.size <= PatchFormat.addressLimit - address else {
                throw PatchFormatError(.inconsistent, "symbol \(symbol.name) ends behind the address space")
            }
        case .image(let offset):
            guard let part = image.part(at: offset),
                symbol.size <= UInt64(image.range(of: part).upperBound - Int(offset))
            else { throw PatchFormatError(.inconsistent, "symbol \(symbol.name) ends behind its part of the image") }
        }
    }
}

extension Image {
    /// Checks sizes, the state-pointer slot and the relocations.
    fileprivate func validate() throws(PatchFormatError) {
        guard size <= PatchFormat.maximumImageSize else {
            throw PatchFormatError(
                .tooLarge, "an image of \(size) bytes; the format allows \(PatchFormat.maximumImageSize)")
        }
        let slot = constants.prefix(PatchFormat.stateSlotSize)
        guard slot.count == PatchFormat.stateSlotSize, slot.allSatisfy({ $0 == 0 }) else {
            throw PatchFormatError(.inconsistent, "the constants do not begin with an empty state-pointer slot")
        }
        var end = 0
        for relocation in relocations {
            let start = Int(relocation.offset)
            guard start >= end else {
                throw PatchFormatError(.inconsistent, "the relocation at \(start) is not sorted, or overlaps another")
            }
            end = start + relocation.kind.size
            guard let part = part(at: relocation.offset), end <= range(of: part).upperBound else {
                throw PatchFormatError(
                    .inconsistent, "the relocation at \(start) does not lie in one part of the image")
            }
            guard end <= constantsOffset || start >= constantsOffset + PatchFormat.stateSlotSize else {
                throw PatchFormatError(.inconsistent, "the relocation at \(start) changes the state-pointer slot")
            }
            try checkPlace(relocation.destination, "the relocation at \(start)")
        }
    }

    /// Checks that a place exists.
    fileprivate func checkPlace(_ place: Relocation.Destination, _ what: String) throws(PatchFormatError) {
        switch place {
        case .target(let address):
            guard address < PatchFormat.addressLimit else {
                throw PatchFormatError(.inconsistent, "\(what) points behind the address space")
            }
        case .image(let offset):
            guard part(at: offset) != nil else {
                throw PatchFormatError(.inconsistent, "\(what) points to no part of the image")
            }
        }
    }
}
