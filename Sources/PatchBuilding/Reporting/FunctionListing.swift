//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// One instruction as a disassembler shows it, with what its relocation refers to put in.
package struct ListedInstruction: Sendable, Equatable {
    /// Offset in its section, in bytes.
    package var offset: Int
    /// AT&T syntax, with symbols in place of relocated fields: `call OPENSSL_sk_num`.
    package var text: String
    /// The text without what moves when code before or after it changes: where jumps inside the function lead,
    /// and the numbers that the compiler counts its labels by. Two instructions of one form are the same one.
    package var form: String

    /// Makes an instruction of its parts.
    package init(offset: Int, text: String, form: String) {
        self.offset = offset
        self.text = text
        self.form = form
    }
}

/// One line of a disassembly side by side.
package enum ListingRow: Sendable, Equatable {
    /// The same instruction before and after the fix.
    case same(before: ListedInstruction, after: ListedInstruction)
    /// Other instructions; nil where one side has none.
    case changed(before: ListedInstruction?, after: ListedInstruction?)
    /// This many equal instructions are left out here.
    case skipped(count: Int)
}

/// A function before and after a fix, side by side, for a person to read.
package struct FunctionListing: Sendable, Equatable {
    /// Its name before the fix, or after it for an added one.
    package var name: String
    /// The rebuilt object it belongs to.
    package var object: String
    /// The lines.
    package var rows: [ListingRow]

    /// Aligns two functions: what is in both in the same order stands side by side (the longest common
    /// subsequence by form, as `CollectionDifference` finds it).
    ///
    /// - Parameters:
    ///   - name: the function's name.
    ///   - object: its object's name.
    ///   - before: its instructions before the fix; empty for an added function.
    ///   - after: its instructions after the fix; empty for a removed one.
    ///   - context: how many equal instructions are kept around each difference.
    package init(
        name: String, object: String, before: [ListedInstruction], after: [ListedInstruction], context: Int = 4
    ) {
        self.name = name
        self.object = object
        rows = FunctionListing.condensed(FunctionListing.aligned(before, after), context: context)
    }

    private static func aligned(_ before: [ListedInstruction], _ after: [ListedInstruction]) -> [ListingRow] {
        var isRemoved = [Bool](repeating: false, count: before.count)
        var isInserted = [Bool](repeating: false, count: after.count)
        for change in after.map(\.form).difference(from: before.map(\.form)) {
            switch change {
            case .remove(let offset, _, _): isRemoved[offset] = true
            case .insert(let offset, _, _): isInserted[offset] = true
            }
        }
        var rows: [ListingRow] = []
        var (old, new) = (0, 0)
        while old < before.count || new < after.count {
            let left = old < before.count && isRemoved[old]
            let right = new < after.count && isInserted[new]
            if !left, !right, old < before.count, new < after.count {
                rows.append(.same(before: before[old], after: after[new]))
                (old, new) = (old + 1, new + 1)
                continue
            }
            rows.append(.changed(before: left ? before[old] : nil, after: right ? after[new] : nil))
            if left { old += 1 }
            if right { new += 1 }
            // What is on one side only is marked; so there is always one of the two.
            guard left || right else { break }
        }
        return rows
    }

    /// Leaves out equal instructions that are further than `context` from every difference.
    private static func condensed(_ rows: [ListingRow], context: Int) -> [ListingRow] {
        var isKept = [Bool](repeating: false, count: rows.count)
        for (index, row) in rows.enumerated() {
            guard case .changed = row else { continue }
            for near in max(0, index - context)...min(rows.count - 1, index + context) { isKept[near] = true }
        }
        var result: [ListingRow] = []
        var skipped = 0
        for (index, row) in rows.enumerated() {
            if isKept[index] {
                if skipped > 0 { result.append(.skipped(count: skipped)) }
                skipped = 0
                result.append(row)
            } else {
                skipped += 1
            }
        }
        if skipped > 0 { result.append(.skipped(count: skipped)) }
        return result
    }
}
