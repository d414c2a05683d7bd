//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Why nothing is done to a process, said so that a person can act on it.
package struct Refusal: Error, Sendable, Equatable {
    /// Stable names of the reasons; they are part of the JSON interface and never change their meaning.
    package enum Reason: String, Sendable, CaseIterable {
        // What is wrong with the patch for this process.
        case targetNotMapped = "target-not-mapped"
        case otherBuild = "other-build"
        case otherMachine = "other-machine"
        case imageTooLarge = "image-too-large"
        case imageInvalid = "image-invalid"
        case gateMissing = "gate-missing"
        case entryCrossesPage = "entry-crosses-page"
        case requirementMissing = "requirement-missing"
        case duplicatePatch = "duplicate-patch"
        // What is wrong with the process's memory.
        case alteredByOthers = "altered-by-others"
        case fixupMismatch = "fixup-mismatch"
        case replacedByOtherPatch = "replaced-by-other-patch"
        case patchMemoryInvalid = "patch-memory-invalid"
        case noRoomWithinReach = "no-room-within-reach"
        case notApplied = "not-applied"
        case requiredByOther = "required-by-other"
        // What stands in the way.
        case noSuchProcess = "no-such-process"
        case otherInstance = "other-instance"
        case processEnded = "process-ended"
        case beingTraced = "being-traced"
        case noPermission = "no-permission"
        case ptraceScope = "ptrace-scope"
        case lockdown = "lockdown"
        case memoryWriteForbidden = "memory-write-forbidden"
        case systemCallFilter = "system-call-filter"
        case unsupportedProcess = "unsupported-process"
        case protectedProcess = "protected-process"
        case notNow = "not-now"
        // What is wrong with the file.
        case fileUnreadable = "file-unreadable"
        case fileInvalid = "file-invalid"
        case fileTruncated = "file-truncated"
        case digestMismatch = "digest-mismatch"
        case notPatch = "not-a-patch"
        case formatVersion = "format-version"
        case machine
        case patchMalformed = "patch-malformed"
        case patchTooLarge = "patch-too-large"
        case patchInconsistent = "patch-inconsistent"
        case patchNotCanonical = "patch-not-canonical"
    }

    /// What is wrong.
    package var reason: Reason
    /// The same as a sentence with the names and numbers of this case.
    package var sentence: String
    /// What a person can do about it.
    package var remedy: String

    /// Makes a refusal.
    package init(_ reason: Reason, _ sentence: String, remedy: String) {
        self.reason = reason
        self.sentence = sentence
        self.remedy = remedy
    }
}
