//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF

extension PatchFormat {
    /// The least size that a file has by its own section headers; for telling a file that was cut short from one
    /// that was damaged. Nothing else in the file is looked at, and nothing is trusted.
    ///
    /// - Returns: the size in bytes; nil for bytes that do not begin as an ELF file does.
    package static func declaredSize(of bytes: RawSpan) -> UInt64? {
        guard let header = try? FileHeader(bytes), header.sectionTableOffset > 0 else { return nil }
        let (tableEnd, overflow) = header.sectionTableOffset.addingReportingOverflow(64 * UInt64(header.sectionCount))
        guard !overflow else { return nil }
        guard tableEnd <= UInt64(bytes.byteCount), let image = try? ELFImage(bytes), let sections = try? image.sections
        else { return tableEnd }
        var size = tableEnd
        for index in 0..<sections.count {
            guard let section = try? sections[index] else { return size }
            let (end, overflow) = section.offset.addingReportingOverflow(section.size)
            if section.type != .noBits, !overflow { size = max(size, end) }
        }
        return size
    }
}
