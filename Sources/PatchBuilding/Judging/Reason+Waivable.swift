//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

extension Reason.Code {
    /// Whether the author of a recipe may answer for a reason of this kind.
    ///
    /// Only where the linker has made every piece that the patch needs, and where the question is one that a person
    /// who knows the program can answer. Every kind is named, so that a new one does not compile without an answer.
    package var isWaivable: Bool {
        switch self {
        case .changedData, .removedData:
            // The target's datum stays as it is, and the author says which contents the new functions use.
            true
        case .newDataWithAddresses, .newFunctionAddress:
            // The datum and the function are in the image, which is never unmapped once it was used: what the
            // process keeps of them stays good, even after an undo.
            true
        case .removedFunction:
            // The old one stays where it is; who calls it calls what was always there.
            true
        case .startOrEndCode:
            // It has run, or will run, as it was: whether that matters a person can tell.
            true
        case .headerTouched, .changedLayout, .buildFileTouched:
            // Layouts, and what a build makes of its files, are for a person to compare.
            true
        case .callerAddress:
            // A person can tell whether the answer depends on who asks: that to an absolute path does not.
            true
        case .splitFunction:
            // A person can tell that nothing stays in the part that lies apart (it ends the program, say).
            true
        case .otherContents:
            // What differs is a string or a constant, which the new functions bring along.
            true
        case .functionsDependOnEachOther, .dataFixups:
            // It hinders nothing: the patch is applied with quiescence.
            false
        case .onlyComments, .sameCode, .notCompiled:
            // There is no patch to hinder.
            false
        case .newWritableData, .threadLocalStorage, .indirectFunction, .unresolvedSymbol:
            // The reference was not bound: there is nothing that it could lead to.
            false
        case .exceptionHandling, .assembler, .notUnderstood:
            // A function has no entry, no piece or no unwind rules.
            false
        case .prologueNotRelocatable:
            // Without a gate several functions cannot switch at once, whatever a person knows; the applier refuses.
            false
        case .ambiguousName:
            // The author knows the fix, and not which of two equal names the builder has taken.
            false
        case .tooShort, .branchIntoEntry, .entryCrossesPage, .tooLarge, .notMatched:
            // No patch can be made or applied.
            false
        }
    }
}
