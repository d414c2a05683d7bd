//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import LivePatch
internal import Unwinding

/// From rebuilt objects and the shipped binary to a live patch: match, diff, judge, link.
package enum LivePatchFactory {
    /// Largest image, in bytes: with its header, which grows with the entries, it has to fit the 16 KiB that
    /// the applier maps. The applier itself decides; this is to tell it early.
    package static func largestImage(entries: Int, fixUps: Int = 0) -> Int {
        0x4000 - 0x200 - 0xc0 * entries - 0x60 * fixUps
    }

    /// Makes the live patch of one fix for one target.
    ///
    /// - Parameters:
    ///   - shipped: the whole file as the distribution ships it, stripped or not.
    ///   - objects: every object of the target that the fix can affect. Objects that come out unchanged are
    ///     used for finding symbols only.
    ///   - description: what the patch says of itself. The reasons of the judgement are put into its
    ///     provenance.
    ///   - touchedHeaders: names of the project's headers that the fix changes. They matter only where objects
    ///     have no debug information to compare layouts by: then any makes the judgement `review`.
    ///   - unfollowed: names of files that the fix changes and that may change what is compiled in a way that
    ///     `objects` do not show (a makefile, a template): any makes the judgement `review`.
    ///   - waivers: reasons that the author of the recipe answers for.
    ///   - fixUps: data that the author sets.
    /// - Returns: the judgement, the functions concerned, and the patch if it can be applied.
    /// - Throws: `PatchBuildingError` where the inputs are broken, or what the author says does not fit them.
    package static func makePatch(
        shipped: [UInt8], objects: [RebuiltObject], description: PatchDescription, touchedHeaders: [String] = [],
        unfollowed: [String] = [], waivers: [Waiver] = [], fixUps: [RequestedFixUp] = []
    ) throws(PatchBuildingError) -> Outcome {
        try makePatch(
            shipped: { () throws(PatchBuildingError) in try ShippedTarget(shipped) }, objects: objects,
            description: description, touchedHeaders: touchedHeaders, unfollowed: unfollowed, waivers: waivers,
            fixUps: fixUps)
    }

    /// The same for a shipped file that was read before.
    ///
    /// - Throws: `PatchBuildingError` where the inputs are broken, or what the author says does not fit them.
    package static func makePatch(
        target: ShippedTarget, objects: [RebuiltObject], description: PatchDescription, touchedHeaders: [String] = [],
        unfollowed: [String] = [], waivers: [Waiver] = [], fixUps: [RequestedFixUp] = []
    ) throws(PatchBuildingError) -> Outcome {
        try makePatch(
            shipped: { () throws(PatchBuildingError) in target }, objects: objects, description: description,
            touchedHeaders: touchedHeaders, unfollowed: unfollowed, waivers: waivers, fixUps: fixUps)
    }

    /// The shipped file is asked for only where something differs.
    private static func makePatch(
        shipped: () throws(PatchBuildingError) -> ShippedTarget, objects: [RebuiltObject],
        description: PatchDescription, touchedHeaders: [String], unfollowed: [String], waivers: [Waiver],
        fixUps: [RequestedFixUp]
    ) throws(PatchBuildingError) -> Outcome {
        var diffs: [Int: ObjectDiff] = [:]
        for (number, object) in objects.enumerated() where object.pre != object.post {
            let diff = ObjectDiff(
                pre: try ObjectFile(name: object.name, bytes: object.pre),
                post: try ObjectFile(name: object.name, bytes: object.post))
            if !diff.isEmpty { diffs[number] = diff }
        }
        let aside = unfollowed.sorted().map { file in
            Reason(
                .buildFileTouched, file,
                "The fix touches \(file), which goes into no object itself: what the build makes of it is not followed."
            )
        }
        guard !diffs.isEmpty else {
            let sorted = try WaivedReasons(aside, waivers: waivers)
            if let first = fixUps.first { throw first.fault("the fix changes nothing in this target") }
            return Outcome(
                judgement: sorted.remaining.isEmpty ? .empty : Judgement(sorted.remaining), functions: [], patch: nil,
                waived: sorted.waived)
        }

        let target = try shipped()
        let (binary, linkage) = (target.binary, target.linkage)
        var plains: [ObjectFile] = []
        for object in objects { plains.append(try ObjectFile(name: object.name, bytes: object.prePlain)) }
        let placement = try Matcher.place(plains, in: binary, linkage: linkage)

        var units: [RebuiltUnit] = []
        for number in diffs.keys.sorted() {
            guard let diff = diffs[number] else { continue }
            units.append(
                try RebuiltUnit(
                    index: number, plain: plains[number], diff: diff, placement: placement, shipped: binary))
        }
        var assembly = PatchAssembly(
            shipped: binary, placement: placement,
            linker: Linker(
                shipped: binary, linkage: linkage, placement: placement, units: units, waivers: waivers), units: units)
        return try assembly.outcome(
            description: description, touchedHeaders: touchedHeaders, aside: aside, waivers: waivers, fixUps: fixUps)
    }
}

/// A shipped file, read once for several live patches.
package struct ShippedTarget: Sendable {
    let binary: ShippedBinary
    let linkage: LinkageTable

    /// Reads the whole file as the distribution ships it.
    ///
    /// - Throws: `PatchBuildingError` (`unsuitableTarget`) where it is no target.
    package init(_ bytes: [UInt8]) throws(PatchBuildingError) {
        binary = try ShippedBinary(bytes)
        linkage = LinkageTable(binary)
    }
}
