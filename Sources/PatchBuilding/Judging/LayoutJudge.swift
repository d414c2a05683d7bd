//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import DWARF
internal import ELF

/// Finds in the debug information of changed objects which layouts the fix changes.
///
/// Every such change is for a person to judge, also one that no changed function is seen to use: what allocates,
/// copies or casts an object names its type only where debug information does not tell. An object whose code and
/// data stay the same is not looked at, for nothing in it depends on what changed.
struct LayoutJudge {
    private var found: [LayoutChange] = []
    private var problems: [Reason] = []
    /// Names of changed objects without debug information of types.
    private var silent: [String] = []
    /// Those of them that have no debug information at all; the others were written in assembler.
    private var empty: [String] = []

    /// Compares the types of an object that the fix changes.
    mutating func judge(_ diff: ObjectDiff, object: String) {
        do throws(DWARFError) {
            let pre = try Self.information(diff.pre.object)
            let post = try Self.information(diff.post.object)
            guard pre.describesTypes, post.describesTypes else {
                silent.append(object)
                if pre.isEmpty || post.isEmpty { empty.append(object) }
                return
            }
            var comparison = LayoutComparison(pre: pre, post: post)
            var findings = try comparison.findings()
            guard !findings.isEmpty else { return }
            try Self.addUsers(of: &findings, diff, pre: pre, post: post)
            for finding in findings { add(finding.change, object: object) }
        } catch {
            problems.append(
                Reason(
                    .notUnderstood, object,
                    "The debug information of \(object), which tells whether layouts change, cannot be read: \(error).")
            )
        }
    }

    private static func information(_ object: ObjectFile) throws(DWARFError) -> DebugInformation {
        let file: ELFFile
        do throws(ELFError) {
            file = try ELFFile(object.bytes)
        } catch {
            throw DWARFError(.malformed, at: Int(clamping: error.offset), error.reason)
        }
        return try DebugInformation(file)
    }

    /// Notes which changed and added functions use the types.
    private static func addUsers(
        of findings: inout [LayoutComparison.Finding], _ diff: ObjectDiff, pre: DebugInformation,
        post: DebugInformation
    ) throws(DWARFError) {
        let (before, after) = (try pre.functions(), try post.functions())
        for function in (diff.changed + diff.added).map(\.name).sorted() {
            // Clones of one function have its name and a suffix (`.isra.0`, `.part.0`); none has a dot in its own.
            let name = String(function.prefix { $0 != "." })
            let old = try pre.typesUsed(by: before[name] ?? [])
            let new = try post.typesUsed(by: after[name] ?? [])
            for index in findings.indices
            where old.contains(findings[index].pre) || new.contains(findings[index].post) {
                findings[index].change.functions.append(function)
            }
        }
    }

    /// Adds a change, or the object to one that is the same (of a header that several objects include).
    private mutating func add(_ change: LayoutChange, object: String) {
        let same = found.firstIndex { known in
            known.kind == change.kind && known.name == change.name && known.differences == change.differences
                && known.before == change.before && known.after == change.after
        }
        guard let same else {
            var change = change
            change.objects = [object]
            found.append(change)
            return
        }
        found[same].objects = Set(found[same].objects + [object]).sorted()
        found[same].functions = Set(found[same].functions + change.functions).sorted()
    }

    // MARK: - What comes of it

    /// All changes, sorted by kind, name and object.
    var changes: [LayoutChange] {
        found.sorted {
            ($0.kind.rawValue, $0.name, $0.objects.first ?? "") < ($1.kind.rawValue, $1.name, $1.objects.first ?? "")
        }
    }

    /// A reason for each change, and for each object whose layouts cannot be judged.
    ///
    /// - Parameter touchedHeaders: names of the project's headers that the fix changes.
    func reasons(touchedHeaders: [String]) -> [Reason] {
        var result = changes.map { Reason(.changedLayout, $0.subject, Self.text($0)) } + problems
        if !silent.isEmpty {
            for header in touchedHeaders.sorted() {
                result.append(
                    Reason(
                        .headerTouched, header,
                        "The fix touches \(header), and there is no debug information of \(Self.list(silent)) to compare layouts by."
                    ))
            }
        }
        if touchedHeaders.isEmpty, !empty.isEmpty {
            result.append(
                Reason(
                    .notUnderstood, empty.sorted().first ?? "",
                    "There is no debug information of \(Self.list(empty)), so it cannot be told whether layouts change."
                ))
        }
        return result
    }

    private static func text(_ change: LayoutChange) -> String {
        var place = change.before.map { " (\($0)" } ?? ""
        if !place.isEmpty {
            if let after = change.after, after != change.before { place += ", after the fix \(after)" }
            place += ")"
        }
        let users =
            change.functions.isEmpty
            ? "No changed function is seen to use it" : "Used by \(list(change.functions))"
        return "The fix changes \(change.subject)\(place): \(list(change.differences.map(\.description), of: "; ")). "
            + "\(users); running processes may hold what old code made."
    }

    /// The first of several texts, and how many more there are.
    private static func list(_ texts: [String], of separator: String = ", ") -> String {
        let shown = texts.prefix(8).joined(separator: separator)
        return texts.count > 8 ? "\(shown)\(separator)and \(texts.count - 8) more" : shown
    }
}

/// The comparison of layouts by itself, for tests and tools.
package enum LayoutComparing {
    /// What an object's layouts are before and after, as far as they differ.
    ///
    /// - Parameters:
    ///   - pre: an object with a section for each function and datum, and debug information.
    ///   - post: the same from other source.
    ///   - name: the object's name.
    /// - Returns: the changes, and the reasons, also for what could not be judged.
    /// - Throws: `PatchBuildingError` where one is not a relocatable object.
    package static func changes(
        pre: [UInt8], post: [UInt8], name: String
    ) throws(PatchBuildingError) -> (changes: [LayoutChange], reasons: [Reason]) {
        var judge = LayoutJudge()
        judge.judge(
            ObjectDiff(
                pre: try ObjectFile(name: name, bytes: pre), post: try ObjectFile(name: name, bytes: post)),
            object: name)
        return (judge.changes, judge.reasons(touchedHeaders: []))
    }
}
