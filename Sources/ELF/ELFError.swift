//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Why bytes could not be read as ELF, or why an object could not be written.
@usableFromInline
package struct ELFError: Error, Sendable, Equatable {
    /// What kind of thing is wrong.
    package enum Code: Sendable, Equatable {
        /// The bytes do not begin with the ELF magic.
        case notELF
        /// ELF, but of a class, byte order or version that is not read here.
        case unsupported
        /// Something lies outside the bytes that it must lie in.
        case outOfBounds
        /// A value contradicts the specification or another value.
        case malformed
        /// What was asked for is not there.
        case notFound
    }

    /// What kind of thing is wrong.
    package var code: Code
    /// Where in the bytes it was noticed (file offset, table index or address, as `reason` says).
    package var offset: UInt64
    /// A sentence for a person.
    package var reason: String

    /// Makes an error of its parts.
    @inline(never)
    package init(_ code: Code, at offset: UInt64, _ reason: String) {
        self.code = code
        self.offset = offset
        self.reason = reason
    }

    /// The error of a read of `count` bytes at `offset` in `size` bytes.
    @usableFromInline
    @inline(never)
    package static func outOfBounds(offset: UInt64, count: UInt64, size: Int) -> ELFError {
        ELFError(.outOfBounds, at: offset, "\(count) bytes at offset \(offset) do not lie in \(size) bytes")
    }

    /// The error of a table that is asked for an element that it does not have.
    @usableFromInline
    @inline(never)
    package static func noSuchIndex(_ index: Int, count: Int) -> ELFError {
        ELFError(.outOfBounds, at: UInt64(clamping: index), "index \(index) is not in a table of \(count)")
    }
}

extension ELFError: CustomStringConvertible {
    /// The reason and the place.
    @usableFromInline package var description: String { "\(reason) (at \(offset))" }
}
