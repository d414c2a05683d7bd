//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF

/// `.note.moult`: the metadata, one ELF note for each field, owner `moult`.
struct PatchNotes {
    /// Descriptors by type, in the file's order.
    private var fields: [PatchFormat.NoteType: [[UInt8]]] = [:]

    // MARK: - Writing

    init(_ patch: Patch) {
        var version: [UInt8] = []
        version.append(littleEndian: PatchFormat.version)
        fields[.version] = [version]
        fields[.buildID] = [patch.target.buildID]
        set(.identifier, [patch.identifier])
        set(.targetName, [patch.target.name])
        set(.package, [patch.target.package])
        set(.packageVersion, [patch.target.packageVersion])
        set(.verdict, [Self.word(for: patch.verdict)])
        set(.cve, patch.provenance.cves)
        set(.partOf, [patch.provenance.partOf])
        set(.source, [patch.provenance.source])
        set(.suite, [patch.provenance.suite])
        set(.vulnerableVersion, [patch.provenance.vulnerableVersion])
        set(.fixedVersion, [patch.provenance.fixedVersion])
        set(.reason, patch.provenance.reasons)
        set(.input, patch.provenance.inputs)
        set(.requires, patch.requires)
        fields[.waiver] = patch.provenance.waivers.map(\.descriptor)
        fields[.adaptation] = patch.provenance.adaptation.map { [$0.descriptor] } ?? []
    }

    private mutating func set(_ type: PatchFormat.NoteType, _ texts: [String]) {
        fields[type] = texts.map { [UInt8]($0.utf8) }
    }

    /// The section's contents: by type, then in the order of the list.
    func encoded() -> [UInt8] {
        let owner = [UInt8](PatchFormat.noteOwner.utf8) + [0]
        var output: [UInt8] = []
        for type in PatchFormat.NoteType.allCases {
            for descriptor in fields[type] ?? [] {
                output.append(littleEndian: UInt32(owner.count))
                output.append(littleEndian: UInt32(truncatingIfNeeded: descriptor.count))
                output.append(littleEndian: type.rawValue)
                output.append(contentsOf: owner)
                output.pad(to: 4)
                output.append(contentsOf: descriptor)
                output.pad(to: 4)
            }
        }
        return output
    }

    // MARK: - Reading

    /// Reads the section's contents.
    ///
    /// - Throws: `PatchFormatError` for a note that is not understood, one that is missing or there twice, and
    ///   another version of the format.
    init(reading bytes: RawSpan) throws(PatchFormatError) {
        let table = NoteTable(bytes, alignment: 4)
        do throws(ELFError) {
            for note in try table.parsed() {
                guard note.owner == PatchFormat.noteOwner, let type = PatchFormat.NoteType(rawValue: note.type) else {
                    throw ELFError(.malformed, at: UInt64(note.type), "a note of type \(note.type) is not understood")
                }
                fields[type, default: []].append(try table.descriptor(of: note).copied())
            }
        } catch {
            // A later version may have other notes: say that first.
            if let found = fields[.version]?.first, found != Self.version { throw Self.otherVersion }
            throw .unreadable("the metadata", error)
        }
        for type in PatchFormat.NoteType.allCases where !type.isRepeated {
            guard fields[type]?.count == 1 else {
                throw PatchFormatError(.malformed, "a note of type \(type.rawValue) is missing or there twice")
            }
        }
        guard fields[.version] == [Self.version] else { throw Self.otherVersion }
    }

    private static var version: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: PatchFormat.version)
        return bytes
    }

    private static var otherVersion: PatchFormatError {
        PatchFormatError(.unsupportedVersion, "the patch has another version of the format than \(PatchFormat.version)")
    }

    /// The one text of a type.
    private func text(_ type: PatchFormat.NoteType) -> String { texts(type).first ?? "" }

    private func texts(_ type: PatchFormat.NoteType) -> [String] {
        (fields[type] ?? []).map { String(decoding: $0, as: UTF8.self) }
    }

    var identifier: String { text(.identifier) }
    var requires: [String] { texts(.requires) }

    func target(machine: Machine) -> Target {
        Target(
            buildID: fields[.buildID]?.first ?? [], name: text(.targetName), package: text(.package),
            packageVersion: text(.packageVersion), machine: machine.rawValue)
    }

    /// Where the patch comes from.
    ///
    /// - Throws: `PatchFormatError` for what its author answers for and is not understood.
    func provenance() throws(PatchFormatError) -> Provenance {
        var waivers: [Provenance.Waiver] = []
        for descriptor in fields[.waiver] ?? [] { waivers.append(try Provenance.Waiver(descriptor: descriptor)) }
        return Provenance(
            cves: texts(.cve), partOf: text(.partOf), source: text(.source), suite: text(.suite),
            vulnerableVersion: text(.vulnerableVersion), fixedVersion: text(.fixedVersion), reasons: texts(.reason),
            waivers: waivers, adaptation: try Provenance.Adaptation.read(fields[.adaptation] ?? []),
            inputs: texts(.input))
    }

    /// The verdict.
    ///
    /// - Throws: `PatchFormatError` for every word that does not allow to apply the patch.
    func verdict() throws(PatchFormatError) -> Verdict {
        switch text(.verdict) {
        case Self.word(for: .automatic): return .automatic
        case Self.word(for: .quiescent): return .quiescent
        default: throw PatchFormatError(.malformed, "the verdict is none that a patch can be applied with")
        }
    }

    private static func word(for verdict: Verdict) -> String {
        switch verdict {
        case .automatic: "automatic"
        case .quiescent: "quiescent"
        }
    }
}
