//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Which texts of a recipe are names that may go into paths and command lines.
///
/// Sources: Debian Policy 5.6.1 (names of packages), 5.6.12 (versions).
enum NameRule {
    /// A package name, source or binary.
    static func package(_ text: String) -> Bool {
        text.utf8.count >= 2 && startsWithAlphanumeric(text)
            && text.utf8.allSatisfy { isLower($0) || isDigit($0) || "+-.".utf8.contains($0) }
    }

    /// A version of a package, or the upstream part of one.
    static func version(_ text: String) -> Bool {
        startsWithAlphanumeric(text) && text.utf8.allSatisfy { isAlphanumeric($0) || ".+-~:".utf8.contains($0) }
    }

    /// The name of a suite, a fix, or a patch file without directory.
    static func file(_ text: String) -> Bool {
        startsWithAlphanumeric(text) && text.utf8.allSatisfy { isAlphanumeric($0) || ".+-~_".utf8.contains($0) }
    }

    /// A path within a tree: relative, no way out of it, nothing that a command would take for an option.
    static func path(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        return parts.allSatisfy { part in
            !part.isEmpty && part != "." && part != ".." && part.utf8.first != UInt8(ascii: "-")
                && part.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f && $0 != UInt8(ascii: "\\") }
        }
    }

    /// An absolute path without `.` and `..`, or with the placeholders of a build recipe.
    static func absolutePath(_ text: String) -> Bool {
        text.utf8.first == UInt8(ascii: "/") && path(String(text.dropFirst()))
    }

    /// The identifier of a hole.
    static func cve(_ text: String) -> Bool {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        return parts.count == 3 && parts[0] == "CVE" && parts[1].utf8.count == 4 && parts[2].utf8.count >= 4
            && parts[1].utf8.allSatisfy(isDigit) && parts[2].utf8.allSatisfy(isDigit)
    }

    /// The name of an environment variable, or of a function in C.
    static func variable(_ text: String) -> Bool {
        guard let first = text.utf8.first, !isDigit(first) else { return false }
        return text.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "_") }
    }

    private static func startsWithAlphanumeric(_ text: String) -> Bool {
        text.utf8.first.map(isAlphanumeric) ?? false
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private static func isLower(_ byte: UInt8) -> Bool { (0x61...0x7a).contains(byte) }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        isDigit(byte) || isLower(byte) || (0x41...0x5a).contains(byte)
    }
}
