//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Names that a compiler makes, without the numbers that it counts them by.
enum SymbolStem {
    /// A name without the parts that are only digits: `f.isra.0.cold` becomes `f.isra.cold`, `table.12`
    /// becomes `table.`.
    static func stem(_ name: String) -> String {
        let name = withoutLocalNumbers(name)
        guard name.utf8.contains(UInt8(ascii: ".")) else { return name }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        var kept: [Substring] = [parts[0]]
        for part in parts.dropFirst() where part.isEmpty || !part.allSatisfy({ $0.isASCII && $0.isNumber }) {
            kept.append(part)
        }
        let stem = kept.joined(separator: ".")
        // A datum `table.12` must not be taken for another one named `table`.
        return kept.count == parts.count ? stem : stem + "."
    }

    /// A mangled name without the numbers of what has no name of its own in a function (closures `Ul...E1_`, types
    /// `Ut1_`) and of what shares its name with others there (`_1`, `__12_` at the end): they count what comes
    /// before in the source (Itanium C++ ABI, section 5.1, "Closure Types" and "Scope Encoding").
    private static func withoutLocalNumbers(_ name: String) -> String {
        guard name.hasPrefix("_Z"),
            name.contains("Ul") || name.contains("Ut") || name.hasPrefix("_ZZ")
                || name.hasPrefix("_ZGVZ")
        else { return name }
        var result: [UInt8] = []
        var digits: [UInt8] = []
        for byte in name.utf8 {
            if (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
                digits.append(byte)
            } else {
                // A number before a letter is the length of a name; one before a _ counts.
                if byte != UInt8(ascii: "_") { result += digits }
                digits = []
                result.append(byte)
            }
        }
        guard result.last == UInt8(ascii: "_") else {
            return String(decoding: result + digits, as: UTF8.self)
        }
        while result.last == UInt8(ascii: "_") { result.removeLast() }
        return String(decoding: result, as: UTF8.self)
    }

    /// The function that a cold part belongs to (`f.cold` or, from older compilers, `f.cold.3`), or nil.
    static func parentOfCold(_ name: String) -> String? {
        if name.hasSuffix(".cold") { return String(name.dropLast(5)) }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count > 2, parts[parts.count - 2] == "cold",
            parts[parts.count - 1].allSatisfy({ $0.isASCII && $0.isNumber })
        else { return nil }
        return parts.dropLast(2).joined(separator: ".")
    }

    /// Whether a datum is made by the compiler for a function (GCC's switch conversion, the name of a
    /// function, an initialiser of an aggregate), so that it is part of the functions that use it.
    static func isGenerated(_ name: String) -> Bool {
        for prefix in ["CSWTCH.", "__func__.", "__FUNCTION__.", "__PRETTY_FUNCTION__.", ".L"]
        where name.hasPrefix(prefix) {
            return true
        }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 3 && parts[0] == "C"
            && parts.dropFirst().allSatisfy { !$0.isEmpty && $0.allSatisfy { $0.isASCII && $0.isNumber } }
    }
}
