//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import LivePatch

/// Data whose contents the fix changes, and which contents the new functions use.
///
/// Without a waiver there is no patch, so nothing is decided here. With one the target's own datum is used, which
/// never changes, unless the author asks for the new contents: then the image has a copy of them. What cannot be
/// right for certain is a fault, not a reason: the author has to say something else.
struct ChangedData {
    /// A datum by its unit and its section before the fix.
    private struct Key: Hashable {
        let unit: Int
        let section: Int
    }

    /// A changed datum that a waiver names.
    private struct Datum {
        let waiver: Waiver
        let oldSize: Int
        let newSize: Int
        /// Why the target's own datum cannot serve new functions; nil if it can.
        let obstacleToOld: String?
        /// Why the new contents cannot be copied into the image; nil if they can.
        let obstacle: String?
        var isUsed = false
    }

    private var data: [Key: Datum] = [:]
    /// Data that other objects see, by name.
    private var globals: [String: Key] = [:]
    private let origins: [[Int]]
    private var found: [PatchBuildingError] = []

    init(_ units: [RebuiltUnit], waivers: [Waiver]) {
        origins = units.map(\.diff.origin)
        for (number, unit) in units.enumerated() {
            let diff = unit.diff
            for section in diff.changedData {
                guard let item = diff.pre.items[section],
                    let waiver = waivers.first(where: {
                        $0.code == .changedData && $0.subject == item.name
                            && ($0.object.isEmpty || $0.object == unit.name)
                    })
                else { continue }
                let key = Key(unit: number, section: section)
                let before = diff.pre.object.sections[section]
                let after = diff.post.object.sections[diff.partner[section]]
                data[key] = Datum(
                    waiver: waiver, oldSize: before.size, newSize: after.size,
                    obstacleToOld: Self.obstacleToOld(item, diff), obstacle: Self.obstacleToNew(item, diff))
                for symbol in item.symbols where !diff.pre.object.symbols[symbol].isLocal {
                    globals[diff.pre.object.symbols[symbol].baseName] = key
                }
            }
        }
    }

    private static func obstacleToOld(_ item: Item, _ diff: ObjectDiff) -> String? {
        let before = diff.pre.object.sections[item.section]
        let after = diff.post.object.sections[diff.partner[item.section]]
        if item.isCompound || diff.post.items[diff.partner[item.section]]?.isCompound ?? true {
            return "it shares a section with others, which may lie elsewhere after the fix"
        }
        if item.kind != diff.post.items[diff.partner[item.section]]?.kind {
            return "the fix makes another kind of datum of it"
        }
        if before.alignment < after.alignment {
            return "new functions may rely on \(after.alignment) bytes of alignment, and it has \(before.alignment)"
        }
        return nil
    }

    private static func obstacleToNew(_ item: Item, _ diff: ObjectDiff) -> String? {
        let before = diff.pre.object.sections[item.section]
        let after = diff.post.object.sections[diff.partner[item.section]]
        if item.kind != .constant || after.isWritable { return "it is written, by the program or when it is loaded" }
        if item.isGlobal { return "other objects can see it, and would go on with the old ones" }
        if !before.relocations.isEmpty || !after.relocations.isEmpty { return "it holds addresses" }
        return nil
    }

    /// What is wrong with the waivers, once everything is linked.
    var faults: [PatchBuildingError] {
        found
            + data.values.filter { $0.waiver.use == .new && !$0.isUsed }.map {
                $0.waiver.fault(.unusableWaiver, "no new function refers to it, so nothing uses its new contents")
            }.sorted { $0.reason < $1.reason }
    }

    /// Whether a reference goes to a copy of the new contents.
    ///
    /// - Parameters:
    ///   - item: the datum after the fix.
    ///   - unit: number of its unit.
    ///   - offset: where in it the reference points.
    mutating func usesNewContents(of item: Item, unit: Int, at offset: Int) -> Bool {
        let key = Key(unit: unit, section: origins[unit][item.section])
        guard let datum = data[key] else { return false }
        data[key]?.isUsed = true
        if datum.waiver.use == .new {
            if let obstacle = datum.obstacle { note(datum, "its new contents cannot be used: \(obstacle)") }
            return datum.obstacle == nil
        }
        if let obstacle = datum.obstacleToOld {
            note(datum, "its old contents cannot be used: \(obstacle)")
        } else if offset >= datum.oldSize, datum.newSize != datum.oldSize {
            // An end of the new size, or an element that the old one does not have.
            note(datum, "a new function refers to byte \(offset) of it, and the old one has \(datum.oldSize)")
        } else {
            checkGrowth(datum)
        }
        return false
    }

    /// Notes that the target's datum is used by its name.
    mutating func noteUse(ofGlobal name: String) {
        guard let key = globals[name], let datum = data[key] else { return }
        data[key]?.isUsed = true
        if datum.waiver.use == .new {
            note(datum, "its new contents cannot be used: \(datum.obstacle ?? "other objects can see it")")
        } else if let obstacle = datum.obstacleToOld {
            note(datum, "its old contents cannot be used: \(obstacle)")
        } else {
            checkGrowth(datum)
        }
    }

    /// Code that is made for the larger datum may go beyond the end of the old one: that it does not, the author must
    /// say expressly.
    private mutating func checkGrowth(_ datum: Datum) {
        guard datum.newSize > datum.oldSize, datum.waiver.use == nil else { return }
        note(
            datum,
            "new functions refer to it, and it grew from \(datum.oldSize) to \(datum.newSize) bytes: say 'use: old' if "
                + "they keep to the old size, or 'use: new'")
    }

    private mutating func note(_ datum: Datum, _ text: String) {
        let fault = datum.waiver.fault(.unusableWaiver, text)
        if !found.contains(fault) { found.append(fault) }
    }
}
