//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Names that a compiler makes, without the numbers that it counts them by.
enum SymbolStem {
    /// A name without the parts that are only digits: `f.isra.0.cold` becomes `f.isra.cold`, `table.12`
    /// becomes `table.`.
    static func stem(_ name: String) -> String {
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
