//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

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
            // Added constants and variables matter only where changed code uses them: the linker says so.
            if item.kind != .constant, item.kind != .variable { judgeData(item, object: object, verb: "adds") }
        }
        for section in diff.removedData {
            guard let item = diff.pre.items[section] else { continue }
            switch item.kind {
            case .constant where !item.isGlobal:
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
