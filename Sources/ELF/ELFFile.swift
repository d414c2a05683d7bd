//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The bytes of an ELF file, kept, for those who must store them: views cannot outlive a scope.
package struct ELFFile: Sendable {
    /// The bytes.
    package let bytes: [UInt8]
    /// The file header.
    package let header: FileHeader

    /// Keeps bytes and reads their header.
    ///
    /// - Throws: `ELFError` where the header is not that of an ELF64 little-endian file.
    package init(_ bytes: [UInt8]) throws(ELFError) {
        self.header = try FileHeader(bytes.rawSpan)
        self.bytes = bytes
    }

    /// The view over the bytes.
    package var image: ELFImage {
        @_lifetime(borrow self)
        get { ELFImage(bytes.rawSpan, header: header) }
    }

    /// Calls `body` with the view over the bytes.
    ///
    /// - Throws: What `body` throws.
    package func withImage<Result, Failure: Error>(
        _ body: (borrowing ELFImage) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(ELFImage(bytes.rawSpan, header: header))
    }
}
