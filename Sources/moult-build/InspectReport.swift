//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Approval
import BuildReporting
import Commands
import LivePatch
import StrictJSON

/// What `inspect` says.
struct InspectReport {
    fileprivate let file: InspectedFile
    private var patch: Patch { file.patch }

    /// Makes a report.
    init(_ file: InspectedFile) {
        self.file = file
    }

    /// The document `moult.inspect/1`.
    var json: JSONValue {
        let target = patch.target
        let provenance = patch.provenance
        return [
            "schema": "moult.inspect/1",
            "file": .string(file.path),
            "size": .integer(file.size),
            "digest": .string(file.digest.hexadecimal),
            "id": .string(patch.identifier),
            "verdict": .string(patch.verdict.word),
            "reasons": Self.strings(provenance.reasons),
            "waivers": .array(provenance.waivers.map(Self.json)),
            "adapted": provenance.adaptation.map { ["name": .string($0.name), "because": .string($0.because)] }
                ?? .null,
            "cves": Self.strings(provenance.cves),
            "part-of": .string(provenance.partOf),
            "requires": Self.strings(patch.requires),
            "target": [
                "name": .string(target.name), "build-id": .string(target.buildID.hexadecimal),
                "package": .string(target.package), "version": .string(target.packageVersion),
                "machine": .integer(Int(target.machine)),
            ],
            "source": [
                "package": .string(provenance.source), "suite": .string(provenance.suite),
                "vulnerable": .string(provenance.vulnerableVersion), "fixed": .string(provenance.fixedVersion),
            ],
            "functions": .array(patch.entries.map(Self.json)),
            "fixups": .array(patch.fixUps.map(\.json)),
            "image": [
                "size": .integer(patch.image.size), "code": .integer(patch.image.code.count),
                "constants": .integer(patch.image.constants.count), "unwind": .integer(patch.image.unwind.count),
            ],
            "relocations": .array(patch.image.relocations.map(Self.json)),
            "inputs": Self.strings(provenance.inputs),
        ]
    }

    private static func strings(_ values: [String]) -> JSONValue { .array(values.map(JSONValue.string)) }

    private static func json(_ waiver: Provenance.Waiver) -> JSONValue {
        [
            "reason": .string(waiver.reason), "object": .string(waiver.object), "subject": .string(waiver.subject),
            "use": waiver.use.map { .string($0.rawValue) } ?? .null, "because": .string(waiver.because),
        ]
    }

    private static func json(_ entry: Entry) -> JSONValue {
        [
            "name": .string(entry.name), "address": .string(entry.address.hexadecimal),
            "old-size": .integer(entry.expected.count), "new-size": .integer(Int(entry.replacementSize)),
            "gate": .bool(entry.gate != nil),
        ]
    }

    private static func json(_ relocation: Relocation) -> JSONValue {
        [
            "offset": .integer(Int(relocation.offset)), "type": .string(relocation.kind.word),
            "in": .string(relocation.destination.space), "to": .string(relocation.destination.offset.hexadecimal),
            "addend": .integer(Int(relocation.addend)),
        ]
    }

    /// The same as lines for people.
    var lines: [String] {
        let target = patch.target
        let provenance = patch.provenance
        var lines = [
            "\(patch.identifier): \(patch.verdict.word)",
            "  file      \(file.path), \(file.size) bytes",
            "  digest    sha256 \(file.digest.hexadecimal)",
            "  target    \(target.name) of \(target.package) \(target.packageVersion), machine \(target.machine)",
            "  build-id  \(target.buildID.hexadecimal)",
            "  source    \(provenance.suite)/\(provenance.source) \(provenance.vulnerableVersion),"
                + " fixed as in \(provenance.fixedVersion)",
            "  fixes     \(provenance.cves.isEmpty ? "(no identifier)" : provenance.cves.joined(separator: ", "))",
        ]
        if !provenance.partOf.isEmpty { lines.append("  part of   \(provenance.partOf)") }
        if !patch.requires.isEmpty { lines.append("  requires  \(patch.requires.joined(separator: ", "))") }
        for reason in provenance.reasons { lines.append("  because   \(reason)") }
        lines += authorLines
        lines.append("  functions (address, bytes before and after):")
        for entry in patch.entries {
            let gate = entry.gate == nil ? ", no gate" : ""
            lines.append(
                "    \(entry.address.hexadecimal) \(entry.expected.count) -> \(entry.replacementSize) \(entry.name)\(gate)"
            )
        }
        let image = patch.image
        lines.append(
            "  image     \(image.size) bytes: code \(image.code.count), constants \(image.constants.count),"
                + " unwind \(image.unwind.count)")
        lines.append("  relocations \(image.relocations.count):")
        for relocation in image.relocations {
            let destination = relocation.destination
            lines.append(
                "    \(UInt64(relocation.offset).hexadecimal) \(relocation.kind.word)"
                    + " \(destination.space) \(destination.offset.hexadecimal) + \(relocation.addend)")
        }
        lines.append("  inputs:")
        for input in provenance.inputs { lines.append("    \(input)") }
        return lines
    }
}

extension InspectReport {
    /// What no machine has judged: whoever approves the patch has to agree with its author here.
    private var authorLines: [String] {
        var lines: [String] = []
        if let adaptation = file.patch.provenance.adaptation {
            lines.append("  adapted   by \(adaptation.name), because \(adaptation.because)")
        }
        for waiver in file.patch.provenance.waivers {
            let object = waiver.object.isEmpty ? "" : " of \(waiver.object)"
            let use = waiver.use.map { " (its \($0.rawValue) contents are used)" } ?? ""
            lines.append("  waived    \(waiver.reason) \(waiver.subject)\(object)\(use), because \(waiver.because)")
        }
        for fixUp in file.patch.fixUps { lines.append("  sets      \(fixUp.line), because \(fixUp.because)") }
        return lines
    }
}

extension Verdict {
    /// The word for it, as in JSON.
    var word: String {
        switch self {
        case .automatic: "automatic"
        case .quiescent: "quiescent"
        }
    }
}

extension Relocation.Kind {
    /// The psABI's name for it.
    fileprivate var word: String {
        switch self {
        case .relative32: "R_X86_64_PC32"
        case .absolute64: "R_X86_64_64"
        }
    }
}
