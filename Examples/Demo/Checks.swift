//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// What must be so, each with a name, and whether it was.
struct Checks {
    /// One expectation.
    struct Check {
        /// What was expected, for people and for tests that look for it.
        var name: String
        /// What was found.
        var found: String
        /// Whether that is what must be.
        var isMet: Bool
    }

    /// In the order they were made.
    private(set) var all: [Check] = []

    /// Those that are not met.
    var failed: [Check] { all.filter { !$0.isMet } }

    /// Adds a check and prints it.
    mutating func expect(_ name: String, _ isMet: Bool, found: String) {
        all.append(Check(name: name, found: found, isMet: isMet))
        print("  [\(isMet ? "ok" : "FAILED")] \(name): \(found)")
    }
}
