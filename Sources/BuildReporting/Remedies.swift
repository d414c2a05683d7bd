//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import PatchBuilding

// What a person can do about each reason. Each switch names every case: a new reason does not compile without
// its remedy. The table in Documentation/command-line.md has the same reasons.

private let restart = "Restart the program with the fixed package."
private let review = "Let a person read the change; until then restart the program with the fixed package."

extension Reason.Code {
    /// What a person can do.
    package var remedy: String {
        switch self {
        case .functionsDependOnEachOther, .dataFixups:
            "Nothing is left to do: it is applied when no old function is on any stack."
        case .changedData, .newWritableData, .newDataWithAddresses, .removedData, .changedLayout, .headerTouched,
            .buildFileTouched,
            .ambiguousName, .newFunctionAddress, .removedFunction, .startOrEndCode:
            review
        case .unresolvedSymbol, .threadLocalStorage, .exceptionHandling, .assembler, .indirectFunction, .tooShort,
            .branchIntoEntry, .prologueNotRelocatable, .entryCrossesPage, .splitFunction, .callerAddress:
            restart
        case .notUnderstood:
            "Report it with the recipe; until then restart the program with the fixed package."
        case .onlyComments, .sameCode:
            "Nothing has to be patched; check that the recipe names the whole fix."
        case .notCompiled:
            "Nothing has to be patched in this build; check that build.yaml configures as the distribution does."
        case .tooLarge:
            "Split the fix into recipes of its own; until then restart the program with the fixed package."
        case .notMatched, .otherContents:
            "Check that the recipe's build is the distribution's: version, flags, compiler, build path."
        }
    }
}

extension PatchBuildingError.Code {
    /// What a person can do.
    package var remedy: String {
        switch self {
        case .malformedObject: "Remove the cache (make clean-cache) and build again; report it if it stays."
        case .linkTimeOptimised: "None here: restart with the fixed package."
        case .unsuitableTarget: "Choose a target that has a build-id and unwind rules, as Debian's libraries have."
        case .notMatched, .inconsistent:
            "Check that the recipe's build is the distribution's: version, flags, compiler, build path."
        case .unusedWaiver: "Take the waiver out of the recipe, after a look at what has changed."
        case .unusableFixup: "Correct the fix-up at the line that is named."
        case .unusableWaiver: "Correct the waiver at the line that is named, or adapt the source instead."
        }
    }
}

extension PreparationError.Code {
    /// What a person can do.
    package var remedy: String {
        switch self {
        case .malformedRecipe: "Correct the recipe at the line that is named."
        case .noPackageSource: "Add the distribution's archive for the suite to apt's sources."
        case .versionNotListed: "Name a version that the archive lists (apt-cache madison)."
        case .fileNotOffered, .nothingOffered:
            "Name other versions in the recipe, or an archive that still has these files."
        case .fetchFailed: "Check the network and apt's configuration, then run it again."
        case .malformedPackage: "Report it with the package's name and version."
        case .notInSource: "Correct the path in the recipe, or name the version that has the file."
        case .notInPackage: "Correct the object's path in the recipe, or name the package that has it."
        case .patchDoesNotApply: "Check that the fix belongs to the vulnerable version."
        case .otherCompiler: "Install the compiler version that the message names."
        case .missingBuildDependency: "Install the packages that the message names."
        case .sandboxUnavailable:
            "Install bubblewrap, and let this user make user namespaces (user.max_user_namespaces); a container "
                + "often forbids them."
        case .buildFailed: "Read what the build said; check build.yaml beside the recipe."
        case .targetNotBuilt: "Check that build.yaml builds the object that the recipe names."
        case .fixNotCompiled: "Check the files of the fix: none of them goes into this target."
        case .nothingToFix: "Check the versions in the recipe: the files are equal in both."
        case .notOnlyFormatting: "Report it with the file's name; the fix can still be given as a patch."
        case .cacheBusy: "Wait for the other build, or set MOULT_CACHE to another directory."
        case .noSpace:
            "Make room on the file system that the message names, or name another directory (MOULT_CACHE, --output)."
        case .systemFailed: "Check the permissions of the file or directory that the message names."
        }
    }
}
