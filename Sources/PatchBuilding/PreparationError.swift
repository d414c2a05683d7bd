//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Why a fix could not be prepared: the recipe is wrong, something is not to be had, or the build fails.
///
/// Nothing of it is a judgement of the fix. The raw values of the codes are stable: they are the `reason`
/// in JSON.
package struct PreparationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure it is.
    package enum Code: String, Sendable {
        /// A recipe cannot be read; the reason begins with file and line.
        case malformedRecipe = "malformed-recipe"
        /// The machine's package sources have no entry of the distribution for the suite.
        case noPackageSource = "no-package-source"
        /// The archive does not list the version.
        case versionNotListed = "version-not-listed"
        /// The archive lists a file that it does not have.
        case fileNotOffered = "file-not-offered"
        /// Fetching failed for another reason: network, signature, digest.
        case fetchFailed = "fetch-failed"
        /// No combination of versions that the recipe allows can be had.
        case nothingOffered = "nothing-offered"
        /// A package or source tree has not the form that is understood.
        case malformedPackage = "malformed-package"
        /// A file that the recipe names is not in the source that it has to come from.
        case notInSource = "file-not-in-source"
        /// The object that the recipe names is not in the binary package.
        case notInPackage = "object-not-in-package"
        /// A patch of the distribution, or the fix itself, does not apply.
        case patchDoesNotApply = "patch-does-not-apply"
        /// The compiler is not the one that the target was built with.
        case otherCompiler = "other-compiler"
        /// A package that the build needs is not installed.
        case missingBuildDependency = "missing-build-dependency"
        /// The machine gives no sandbox to build in.
        case sandboxUnavailable = "sandbox-unavailable"
        /// A step of the build failed.
        case buildFailed = "build-failed"
        /// The watched build does not make the target, or makes it in a way that is not understood.
        case targetNotBuilt = "target-not-built"
        /// The fix touches a file that goes into no object of the target.
        case fixNotCompiled = "fix-not-compiled"
        /// The fix changes nothing: its files are equal in both sources.
        case nothingToFix = "nothing-to-fix"
        /// Formatting a source changed more than white space, so places cannot be carried back.
        case notOnlyFormatting = "not-only-formatting"
        /// Another process holds the cache.
        case cacheBusy = "cache-busy"
        /// A file system is full: that of the cache, or that of the live patch to be written.
        case noSpace = "no-space"
        /// A file of the cache or a tool of the system cannot be used.
        case systemFailed = "system-failed"
    }

    /// What kind of failure it is.
    package var code: Code
    /// A sentence for a person.
    package var reason: String
    /// What the tool that failed said, shortened; empty if there was none.
    package var details: String

    /// Makes an error.
    package init(_ code: Code, _ reason: String, details: String = "") {
        self.code = code
        self.reason = reason
        self.details = details
    }

    package var description: String {
        details.isEmpty ? "\(code.rawValue): \(reason)" : "\(code.rawValue): \(reason)\n\(details)"
    }
}
