//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A record of fixed size in an ELF file.
@usableFromInline
package protocol ELFRecord: Sendable {
    /// Bytes that one record takes in the file.
    static var recordSize: Int { get }

    /// Reads the record that begins at `offset`; the caller has proved that `recordSize` bytes lie there.
    init(unchecked bytes: RawSpan, at offset: Int, index: Int)
}

/// A table of records of fixed size: a view, valid as long as the bytes it looks at.
@usableFromInline
package struct Table<Record: ELFRecord>: ~Escapable {
    /// The bytes of the table, cut to whole records.
    @usableFromInline package let bytes: RawSpan
    /// Number of records.
    @usableFromInline package let count: Int

    /// Views `bytes` as a table. Bytes behind the last whole record are left out.
    @_lifetime(copy bytes)
    @inlinable
    package init(_ bytes: RawSpan) {
        self.bytes = bytes
        self.count = bytes.byteCount / Record.recordSize
    }

    /// The record with a number, counted from 0.
    ///
    /// - Throws: `ELFError` (`outOfBounds`) where there is none.
    @inlinable
    package subscript(index: Int) -> Record {
        get throws(ELFError) {
            guard index >= 0, index < count else { throw .noSuchIndex(index, count: count) }
            return Record(unchecked: bytes, at: index &* Record.recordSize, index: index)
        }
    }

    /// The first record that a condition holds for, or nil.
    @inlinable
    package func first(where condition: (Record) throws(ELFError) -> Bool) throws(ELFError) -> Record? {
        for index in 0..<count {
            let record = Record(unchecked: bytes, at: index &* Record.recordSize, index: index)
            if try condition(record) { return record }
        }
        return nil
    }

    /// All records, as an array that outlives the bytes.
    @inlinable
    package func copied() -> [Record] {
        var records: [Record] = []
        records.reserveCapacity(count)
        for index in 0..<count {
            records.append(Record(unchecked: bytes, at: index &* Record.recordSize, index: index))
        }
        return records
    }
}
