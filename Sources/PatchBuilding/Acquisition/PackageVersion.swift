//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Parts of a version of a package (Debian Policy, 5.6.12).
package enum PackageVersion {
    /// The part of a version that upstream gave: without epoch and revision.
    package static func upstream(of version: String) -> String {
        var part = version[...]
        if let colon = part.firstIndex(of: ":") { part = part[part.index(after: colon)...] }
        if let dash = part.lastIndex(of: "-") { part = part[..<dash] }
        return String(part)
    }

    /// The version of the source that a binary version was built from: a rebuild without a change of the
    /// source adds `+b` and a number.
    package static func source(ofBinary version: String) -> String {
        guard let mark = version.ranges(of: "+b").last else { return version }
        let number = version[mark.upperBound...]
        return !number.isEmpty && number.allSatisfy { $0.isASCII && $0.isNumber }
            ? String(version[..<mark.lowerBound]) : version
    }

    /// A version as part of a path: the colon of an epoch separates paths in some variables.
    static func pathPart(_ version: String) -> String { version.replacing(":", with: "%3a") }
}
