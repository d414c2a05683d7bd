//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF

/// Finds in the difference of an object what is not plainly safe, whatever the code does with it.
struct DiffJudge {
    private(set) var reasons: [Reason] = []

    private mutating func note(_ code: Reason.Code, _ subject: String, _ text: String, object: String = "") {
        let reason = Reason(code, subject, text, object: object)
        if !reasons.contains(reason) { reasons.append(reason) }
    }

    /// Notes what a fix does to the data of an object, and what cannot be told for certain.
    mutating func judge(_ diff: ObjectDiff, object: String) {
        for section in diff.changedData {
            guard let item = diff.pre.items[section] else { continue }
            judgeData(item, object: object, verb: "changes")
        }
        for section in diff.addedData {
            guard let item = diff.post.items[section] else { continue }
            // What linkers gather in a section of a name of its own, programs enumerate (`__start_`, `__stop_`).
            if Self.isGathered(section, in: diff.post) {
                note(.changedData, item.name, "The fix adds \(item.name) to a section that the program enumerates.")
            }
            // Added constants and variables matter only where changed code uses them: the linker says so.
            if item.kind != .constant, item.kind != .variable { judgeData(item, object: object, verb: "adds") }
        }
        for section in diff.removedData {
            guard let item = diff.pre.items[section] else { continue }
            switch item.kind {
            case .constant where !item.isGlobal && !Self.isGathered(section, in: diff.pre):
                break
            case .constant, .variable:
                note(
                    .removedData, item.name, "The fix removes \(item.name) of \(object), which others may still use.",
                    object: object)
            default:
                judgeData(item, object: object, verb: "removes")
            }
        }
        for function in diff.removed {
            guard let item = diff.pre.items[function.pre[0]], item.isGlobal else { continue }
            note(.removedFunction, function.name, "The fix removes \(function.name), which others may still call.")
        }
        for name in diff.movedNames {
            note(
                .ambiguousName, name,
                "\(name) of \(object) is another function or datum after the fix; who uses it would not notice.")
        }
        for name in diff.uncertainNames() {
            note(.ambiguousName, name, "\(name) of \(object) cannot be told from others of its name with certainty.")
        }
    }

    private static func isGathered(_ section: Int, in table: ItemTable) -> Bool {
        !table.object.sections[section].name.hasPrefix(".")
    }

    private mutating func judgeData(_ item: Item, object: String, verb: String) {
        switch item.kind {
        case .threadLocal:
            note(.threadLocalStorage, item.name, "The fix \(verb) the thread-local variable \(item.name) of \(object).")
        case .startOrEnd:
            note(
                .startOrEndCode, item.name,
                "The fix \(verb) \(item.name) of \(object): functions that run at the start or the end.", object: object
            )
        case .exceptionTable:
            note(.exceptionHandling, item.name, "The fix \(verb) \(item.name) of \(object).")
        default:
            note(
                .changedData, item.name,
                "The fix \(verb) the contents of \(item.name) of \(object); running processes may hold copies of the old ones.",
                object: object)
        }
    }

    /// Notes names that the fix defines in an object and that the target had from elsewhere (another library, a
    /// weak definition): who uses them is the same, byte for byte, and would go on with the other one.
    mutating func judgeNewNames(_ diff: ObjectDiff, object: String, files: [ObjectFile]) {
        judgeCommonBlocks(diff, object: object)
        let before = Set(diff.pre.object.symbols.filter { $0.section != nil }.map(\.name))
        for symbol in diff.post.object.symbols
        where !symbol.isLocal && !before.contains(symbol.name) && !symbol.name.isEmpty {
            // Of what is in a group (templates, inline functions) all definitions are the same.
            guard let section = symbol.section, !diff.post.object.sections[section].flags.contains(.group) else {
                continue
            }
            let isKnown = files.contains { file in
                file.symbols.contains { !$0.isLocal && $0.baseName == symbol.baseName }
            }
            guard isKnown else { continue }
            note(
                .ambiguousName, symbol.name,
                "The fix defines \(symbol.name) in \(object); the target uses one that is defined elsewhere.")
        }
    }

    /// Notes blocks that the linker makes room for (`-fcommon`) and that have another size after the fix.
    private mutating func judgeCommonBlocks(_ diff: ObjectDiff, object: String) {
        for symbol in diff.post.object.symbols where symbol.isCommon {
            let old = diff.pre.object.symbols.first { $0.isCommon && $0.name == symbol.name }
            // The value is the alignment.
            guard let old, old.size != symbol.size || old.value != symbol.value else { continue }
            note(.changedData, symbol.name, "The fix changes the size of the common block \(symbol.name) of \(object).")
        }
    }

    /// Notes what matching could not confirm about an object that the fix changes.
    mutating func judge(_ object: Placement.Object) {
        if object.differingLiterals > 0 {
            note(
                .otherContents, object.name,
                "\(object.name) uses \(object.differingLiterals) strings or constants that differ in the shipped binary."
            )
        }
        for text in object.differingData {
            note(.otherContents, object.name, "\(object.name): \(text).")
        }
    }
}
