//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// One reason for a verdict: a stable code, what it is about, and a sentence for a person.
package struct Reason: Sendable, Equatable {
    /// What kind of reason it is. The raw values are stable: they stand in JSON.
    package enum Code: String, Sendable, CaseIterable {
        /// Several changed functions refer to each other: old and new must not be mixed on a stack.
        case functionsDependOnEachOther = "functions-depend-on-each-other"
        /// The patch sets data of the target.
        case dataFixups = "data-fixups"
        /// The contents of existing data changed (an initialiser, a table).
        case changedData = "changed-data"
        /// The fix adds data that is written at run time.
        case newWritableData = "new-writable-data"
        /// The fix adds constant data that holds addresses.
        case newDataWithAddresses = "new-data-with-addresses"
        /// Data is gone.
        case removedData = "removed-data"
        /// A function that others may call is gone.
        case removedFunction = "removed-function"
        /// The address of a function that only the patch has is stored somewhere.
        case newFunctionAddress = "new-function-address"
        /// A reference to a symbol that the target cannot reach.
        case unresolvedSymbol = "unresolved-symbol"
        /// Thread-local storage.
        case threadLocalStorage = "thread-local-storage"
        /// Exceptions or cleanup cross the function.
        case exceptionHandling = "exception-handling"
        /// A function written in assembler, or whose bounds are not certain.
        case assembler = "assembler"
        /// A function that is chosen by a resolver at start (`STT_GNU_IFUNC`).
        case indirectFunction = "indirect-function"
        /// A function that is too short for a jump.
        case tooShort = "too-short"
        /// A branch of the function leads into the bytes that are overwritten.
        case branchIntoEntry = "branch-into-entry"
        /// The first instructions cannot be moved, so there is no gate.
        case prologueNotRelocatable = "prologue-not-relocatable"
        /// The overwritten bytes lie on two pages.
        case entryCrossesPage = "entry-crosses-page"
        /// A part of an old function lies apart from it, where the applier does not look.
        case splitFunction = "split-function"
        /// A relocation type, section or instruction that is not understood.
        case notUnderstood = "not-understood"
        /// A call that is answered by where the caller lies.
        case callerAddress = "caller-address"
        /// Code that runs only at start or end.
        case startOrEndCode = "start-or-end-code"
        /// Functions or variables of one name that cannot be told apart with certainty.
        case ambiguousName = "ambiguous-name"
        /// The image would be larger than the applier accepts.
        case tooLarge = "too-large"
        /// The layout of a type changed, or a variable has another type.
        case changedLayout = "changed-layout"
        /// A header of the project is touched by the fix, and there is no debug information to compare layouts by.
        case headerTouched = "header-touched"
        /// The fix touches a file that the build makes others of: a makefile, a template, a list of exports.
        case buildFileTouched = "build-file-touched"
        /// The shipped binary does not hold, or not for certain, what was rebuilt.
        case notMatched = "not-matched"
        /// The shipped binary holds other strings or constants than the rebuilt object.
        case otherContents = "other-contents"
        /// The fix changes nothing: only comments and white space differ.
        case onlyComments = "only-comments"
        /// The fix changes nothing: what differs is left out by the preprocessor.
        case notCompiled = "not-compiled"
        /// The fix changes nothing: the compiler makes the same of both sources.
        case sameCode = "same-code"
    }

    /// What a reason allows.
    package enum Weight: Int, Sendable, Comparable {
        /// Applied with quiescence.
        case quiescent
        /// A person may decide otherwise, or adapt the fix.
        case review
        /// No patch can be made; only a restart helps.
        case impossible

        package static func < (first: Weight, second: Weight) -> Bool { first.rawValue < second.rawValue }
    }

    /// What kind of reason it is.
    package var code: Code
    /// What it is about: a function, a datum or a symbol; empty if it is about the whole.
    package var subject: String
    /// A sentence for a person.
    package var text: String
    /// The rebuilt object that the subject belongs to; empty where the subject is no name of one object alone.
    package var object: String

    /// Makes a reason.
    package init(_ code: Code, _ subject: String, _ text: String, object: String = "") {
        self.code = code
        self.subject = subject
        self.text = text
        self.object = object
    }

    /// What the reason allows.
    package var weight: Weight {
        switch code {
        // A function that is old may go on with what it has read of a datum.
        case .functionsDependOnEachOther, .dataFixups: .quiescent
        case .unresolvedSymbol, .tooShort, .branchIntoEntry, .entryCrossesPage, .tooLarge, .notMatched: .impossible
        default: .review
        }
    }
}
