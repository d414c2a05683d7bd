//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import LivePatch
internal import Unwinding

/// Puts a patch together from drafts of its entries and linked pieces, and the judgement from all reasons.
struct PatchAssembly {
    let shipped: ShippedBinary
    let placement: Placement
    var linker: Linker
    let units: [RebuiltUnit]
    private var reasons: [Reason] = []

    init(shipped: ShippedBinary, placement: Placement, linker: Linker, units: [RebuiltUnit]) {
        self.shipped = shipped
        self.placement = placement
        self.linker = linker
        self.units = units
    }

    private mutating func note(_ code: Reason.Code, _ subject: String, _ text: String, object: String = "") {
        note([Reason(code, subject, text, object: object)])
    }

    private mutating func note(_ more: [Reason]) {
        for reason in more where !reasons.contains(reason) { reasons.append(reason) }
    }

    /// Judges and, where the judgement allows it, builds.
    mutating func outcome(
        description: PatchDescription, touchedHeaders: [String], aside: [Reason], waivers: [Waiver],
        fixUps requests: [RequestedFixUp]
    ) throws(PatchBuildingError) -> Outcome {
        note(aside)
        var layouts = LayoutJudge()
        for unit in units { layouts.judge(unit.diff, object: unit.name) }
        note(layouts.reasons(touchedHeaders: touchedHeaders))
        var judge = DiffJudge()
        for unit in units {
            judge.judge(unit.diff, object: unit.name)
            judge.judgeNewNames(unit.diff, object: unit.name, files: placement.files)
            judge.judge(placement.objects[unit.index])
        }
        note(judge.reasons)
        for contradiction in placement.contradictions {
            note(.notMatched, "", "Rebuilt objects contradict each other: \(contradiction).")
        }
        let (drafts, roots) = try draftEntries()
        let fixUps = try draftFixUps(requests, entries: drafts)
        note(linker.reasons)
        let frames = try collectFrames()
        judgeConsistency(drafts, fixUps)
        // Only now every reason is known, and whatever a waiver was for has been linked.
        let sorted = try WaivedReasons(reasons, waivers: waivers)
        if let fault = linker.changedData.faults.first { throw fault }
        reasons = sorted.remaining

        var functions = report(drafts)
        functions.sort { ($0.object, $0.name, $0.address ?? 0) < ($1.object, $1.name, $1.address ?? 0) }
        func outcome(_ judgement: Judgement, _ patch: Patch? = nil) -> Outcome {
            Outcome(
                judgement: judgement, functions: functions, patch: patch, layoutChanges: layouts.changes,
                waived: sorted.waived)
        }
        if drafts.isEmpty, reasons.isEmpty {
            // Only additions that nothing of the target uses, and what the author waives.
            return outcome(.empty)
        }
        guard Judgement(reasons).isApplicable else { return outcome(Judgement(reasons)) }
        var patch = try build(drafts, roots: roots, fixUps: fixUps, frames: frames, description: description)
        patch.provenance.waivers = sorted.waived.map(\.record)
        let largest = LivePatchFactory.largestImage(entries: drafts.count, fixUps: fixUps.count)
        if patch.image.size > largest {
            note(
                .tooLarge, "",
                "The image has \(patch.image.size) bytes; at most \(largest) fit with its header."
            )
            return outcome(Judgement(reasons))
        }
        return outcome(Judgement(reasons), patch)
    }

    // MARK: - Entries

    /// Drafts of all entries, sorted by address, and for each the piece that replaces it.
    private mutating func draftEntries() throws(PatchBuildingError) -> ([EntryBuilder.Draft], [Int]) {
        var builder = EntryBuilder(shipped: shipped, placement: placement)
        var drafts: [EntryBuilder.Draft] = []
        for (number, unit) in units.enumerated() {
            for function in unit.diff.changed.indices {
                if let draft = builder.draft(function, of: unit, unit: number) { drafts.append(draft) }
            }
        }
        note(builder.reasons)
        if builder.reasons.contains(where: { $0.code == .notMatched }) {
            let report = MismatchReport(shipped)
            for unit in units {
                for sentence in try report.sentences(unit.plain, placement.objects[unit.index]) {
                    note(.notMatched, unit.name, sentence + ".")
                }
            }
        }
        drafts.sort { ($0.address, $0.name) < ($1.address, $1.name) }
        for (first, second) in zip(drafts, drafts.dropFirst())
        where second.address < first.address + first.expected.count {
            note(
                .notMatched, second.name,
                "\(first.name) and \(second.name) lie at the same place of the shipped binary.")
        }
        noteFolded(drafts)
        var roots: [Int] = []
        for draft in drafts {
            let sections = units[draft.unit].diff.changed[draft.function].post
            for (index, section) in sections.enumerated() {
                let piece = linker.piece(unit: draft.unit, section: section)
                if index == 0 { roots.append(piece) }
            }
        }
        return (drafts, roots)
    }

    /// Notes entries at which another function lies too, which linkers make of equal ones (`--icf`).
    private mutating func noteFolded(_ drafts: [EntryBuilder.Draft]) {
        for draft in drafts {
            for object in placement.objects {
                for code in object.code
                where code.occupiedPlaces.contains(where: { $0 <= draft.start && draft.start < $0 + code.size }) {
                    note(
                        .ambiguousName, draft.name,
                        "\(draft.name) may be one with \(code.name) of \(object.name), which would be replaced with it."
                    )
                }
            }
        }
    }

    /// What the author sets, with the pieces of new functions whose addresses are set.
    private mutating func draftFixUps(
        _ requests: [RequestedFixUp], entries: [EntryBuilder.Draft]
    ) throws(PatchBuildingError) -> [FixUpBuilder.Draft] {
        let builder = FixUpBuilder(shipped: shipped, placement: placement, units: units)
        var drafts: [FixUpBuilder.Draft] = []
        for request in requests {
            guard !entries.isEmpty else {
                throw request.fault("no function changes, and a patch of data alone cannot be applied")
            }
            let draft = try builder.draft(request, linker: &linker)
            let end = draft.address + request.size.count
            guard !drafts.contains(where: { $0.address < end && draft.address < $0.address + $0.request.size.count })
            else { throw request.fault("it is set twice") }
            drafts.append(draft)
        }
        return drafts
    }

    /// Unwind rules of all functions that go into the image.
    private mutating func collectFrames() throws(PatchBuildingError) -> [ImageBuilder.PieceFrame] {
        var result: [ImageBuilder.PieceFrame] = []
        var passages = units.map { ExceptionPassage($0.diff.post) }
        for (number, piece) in linker.pieces.enumerated() {
            guard case .section(let unitNumber, let section) = piece.key, piece.isCode else { continue }
            let unit = units[unitNumber]
            if passages[unitNumber].mayPass(section) {
                note(.exceptionHandling, piece.name, "An exception may pass through \(piece.name) to its callers.")
            }
            let ranges = unit.functionRanges[section]
            guard ranges.count == 1, ranges[0].start == 0, ranges[0].size == piece.bytes.count, let table = unit.frames
            else {
                note(.assembler, piece.name, "\(piece.name) has no unwind rules of its own after the fix.")
                continue
            }
            do throws(UnwindError) {
                let frame = try table.extracted(try table.description(index: ranges[0].descriptionIndex))
                if frame.hasLSDA {
                    note(.exceptionHandling, piece.name, "\(piece.name) takes part in exception handling.")
                } else {
                    result.append(ImageBuilder.PieceFrame(piece: number, frame: frame))
                }
            } catch {
                note(.notUnderstood, piece.name, "The unwind rules of \(piece.name): \(error.reason)")
            }
        }
        return result
    }

    // MARK: - Consistency

    private mutating func judgeConsistency(_ drafts: [EntryBuilder.Draft], _ fixUps: [FixUpBuilder.Draft]) {
        let changed = units.reduce(0) { $0 + $1.diff.changed.count }
        var isQuiescent = !fixUps.isEmpty
        if isQuiescent {
            let names = fixUps.map(\.request.name).joined(separator: ", ")
            note(
                .dataFixups, "",
                "The patch sets data (\(names)): no old function may go on with what it has read of them.")
        }
        if changed > 1, let (from, to) = FunctionReferences(units, shipped: shipped).first() {
            note(
                .functionsDependOnEachOther, from,
                "\(from) and \(to) are both changed and refer to each other: they have to switch while none of them runs."
            )
            isQuiescent = true
        }
        guard isQuiescent else { return }
        for draft in drafts {
            if draft.gate == nil, changed > 1 {
                note(
                    .prologueNotRelocatable, draft.name,
                    "The first instructions of \(draft.name) cannot be moved, so several functions cannot switch at once."
                )
            }
            if units[draft.unit].diff.changed[draft.function].pre.count > 1 {
                note(
                    .splitFunction, draft.name,
                    "A part of \(draft.name) lies apart from it, where running code is not looked for.",
                    object: units[draft.unit].name)
            }
        }
    }

    // MARK: - Building

    private mutating func build(
        _ drafts: [EntryBuilder.Draft], roots: [Int], fixUps: [FixUpBuilder.Draft], frames: [ImageBuilder.PieceFrame],
        description: PatchDescription
    ) throws(PatchBuildingError) -> Patch {
        var builder = ImageBuilder(pieces: linker.pieces)
        let requests = zip(drafts, roots).map { draft, root in
            ImageBuilder.GateRequest(
                name: draft.name, builder: draft.gate, frame: draft.frame, replacement: root,
                skipped: draft.address - draft.start)
        }
        let image = try builder.build(requests, frames: frames)
        var entries: [Entry] = []
        var symbols = builder.symbols
        for (index, draft) in drafts.enumerated() {
            entries.append(
                Entry(
                    name: draft.name, address: UInt64(draft.address), expected: draft.expected, masked: draft.masked,
                    prologue: draft.prologue, replacement: builder.offset(ofPiece: roots[index]),
                    replacementSize: UInt32(linker.pieces[roots[index]].bytes.count), gate: builder.gates[index]))
            symbols.append(
                Symbol(
                    name: draft.name + "@old", place: .target(UInt64(draft.address)), size: UInt64(draft.expected.count)
                ))
        }
        for address in linker.targetNames.keys.sorted() {
            guard let name = linker.targetNames[address] else { continue }
            let isOld = drafts.contains { $0.start == address && $0.start == $0.address }
            if !isOld { symbols.append(Symbol(name: name, place: .target(UInt64(address)), size: 0)) }
        }
        var provenance = description.provenance
        provenance.reasons = reasons.map(\.text)
        return Patch(
            identifier: description.identifier,
            target: Target(
                buildID: shipped.buildID, name: shipped.soname ?? description.targetName, package: description.package,
                packageVersion: description.packageVersion, machine: shipped.machine),
            provenance: provenance, verdict: reasons.isEmpty ? .automatic : .quiescent, entries: entries,
            fixUps: fixUps.map { draft in
                let image = FixUp.Value.address(.image(draft.piece.map { builder.offset(ofPiece: $0) } ?? 0))
                return FixUp(
                    name: draft.request.name, address: UInt64(draft.address), size: draft.request.size,
                    from: draft.from, to: draft.to ?? image, because: draft.request.because)
            }, image: image, symbols: symbols, requires: description.requires)
    }

    private func report(_ drafts: [EntryBuilder.Draft]) -> [Outcome.Function] {
        var result: [Outcome.Function] = []
        for (number, unit) in units.enumerated() {
            let pre = unit.diff.pre.object
            let post = unit.diff.post.object
            for (index, function) in unit.diff.changed.enumerated() {
                let draft = drafts.first { $0.unit == number && $0.function == index }
                result.append(
                    Outcome.Function(
                        name: function.name, object: unit.name, address: draft.map { UInt64($0.start) },
                        sizeBefore: draft.map { UInt64($0.size) } ?? UInt64(pre.sections[function.pre[0]].size),
                        sizeAfter: UInt64(post.sections[function.post[0]].size)))
            }
            for function in unit.diff.added {
                result.append(
                    Outcome.Function(
                        name: function.name, object: unit.name, address: nil, sizeBefore: nil,
                        sizeAfter: UInt64(post.sections[function.post[0]].size)))
            }
            for function in unit.diff.removed {
                result.append(
                    Outcome.Function(
                        name: function.name, object: unit.name,
                        address: unit.address(ofPreSection: function.pre[0], placement: placement, shipped: shipped)
                            .map { UInt64($0) },
                        sizeBefore: UInt64(pre.sections[function.pre[0]].size), sizeAfter: nil))
            }
        }
        return result
    }
}

extension Judgement {
    /// Whether a patch may be applied without a person's decision.
    var isApplicable: Bool {
        switch self {
        case .automatic, .quiescent: true
        case .empty, .review, .impossible: false
        }
    }
}
