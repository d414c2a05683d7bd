//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Why debug information could not be read.
package struct DWARFError: Error, Sendable, Equatable {
    /// What kind of thing is wrong.
    package enum Code: Sendable, Equatable {
        /// Something ends behind the end of what holds it.
        case truncated
        /// A value contradicts the specification or another value.
        case malformed
        /// A version, form, relocation or encoding that is not read here.
        case unsupported
        /// More nesting or work than any compiler's output needs.
        case limitExceeded
    }

    /// What kind of thing is wrong.
    package var code: Code
    /// Where it was noticed: an offset in the section that the reason names, else in `.debug_info`.
    package var offset: Int
    /// A sentence for a person.
    package var reason: String

    /// Makes an error of its parts.
    package init(_ code: Code, at offset: Int, _ reason: String) {
        self.code = code
        self.offset = offset
        self.reason = reason
    }
}

extension DWARFError: CustomStringConvertible {
    /// The reason and the place.
    package var description: String { "\(reason) (at \(offset))" }
}
