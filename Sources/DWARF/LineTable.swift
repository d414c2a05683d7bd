//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The names of source files in a line number program's header (DWARF 5, section 6.2.4; DWARF 4, section 6.2.4).
struct LineTable {
    /// By the numbers that entries use: from 0 in DWARF 5, from 1 in DWARF 4, where number 0 is no file.
    private(set) var files: [(directory: String, name: String)] = []

    /// Reads the header at an offset in `.debug_line`.
    ///
    /// - Throws: `DWARFError` where it ends too early or is not understood.
    init(_ sections: DebugSections, at offset: UInt64) throws(DWARFError) {
        var cursor = try ByteCursor(sections.lines, from: offset)
        var length = try cursor.unsigned(4)
        var offsetSize = 4
        if length == 0xffff_ffff {
            length = try cursor.unsigned(8)
            offsetSize = 8
        }
        var header = try cursor.part(length)
        let version = try header.unsigned(2)
        guard version >= 2, version <= 5 else {
            throw DWARFError(.unsupported, at: header.position, "line number program of version \(version)")
        }
        // Address size and segment selector size.
        if version == 5 { try header.skip(2) }
        let headerLength = try header.unsigned(offsetSize)
        header = try header.part(headerLength)
        // Instruction length, operations per instruction (from version 4), default statement, line base, range.
        try header.skip(version >= 4 ? 5 : 4)
        let operations = try header.byte()
        try header.skip(UInt64(max(1, operations)) - 1)
        if version == 5 {
            let directories = try Self.entries(&header, sections, offsetSize)
            for (name, directory) in try Self.entries(&header, sections, offsetSize) {
                guard directory < UInt64(directories.count) else {
                    throw DWARFError(.malformed, at: header.position, "a file in a directory that is not there")
                }
                files.append((directories[Int(directory)].name, name))
            }
        } else {
            try readVersion4(&header)
        }
    }

    private mutating func readVersion4(_ header: inout ByteCursor) throws(DWARFError) {
        // Directory 0 is that of the compilation.
        var directories = [""]
        while true {
            let name = try header.string()
            if name.isEmpty { break }
            directories.append(String(decoding: header.bytes[name], as: UTF8.self))
        }
        files = [("", "")]
        while true {
            let name = try header.string()
            if name.isEmpty { return }
            let directory = try header.uleb128()
            _ = try header.uleb128()
            _ = try header.uleb128()
            guard directory < UInt64(directories.count) else {
                throw DWARFError(.malformed, at: header.position, "a file in a directory that is not there")
            }
            files.append((directories[Int(directory)], String(decoding: header.bytes[name], as: UTF8.self)))
        }
    }

    /// Directories or files of version 5: a list of what each has, then each.
    private static func entries(
        _ header: inout ByteCursor, _ sections: DebugSections, _ offsetSize: Int
    ) throws(DWARFError) -> [(name: String, directory: UInt64)] {
        var formats: [(content: UInt64, form: UInt64)] = []
        for _ in 0..<(try header.byte()) { formats.append((try header.uleb128(), try header.uleb128())) }
        let count = try header.uleb128()
        // Each takes at least a byte, if it has anything at all.
        guard !formats.isEmpty || count == 0, count <= UInt64(header.end - header.position) else {
            throw DWARFError(.malformed, at: header.position, "more files than the header has room for")
        }
        var result: [(name: String, directory: UInt64)] = []
        for _ in 0..<count {
            var name = ""
            var directory: UInt64 = 0
            for (content, form) in formats {
                var text: String?
                var number: UInt64 = 0
                switch Form(rawValue: UInt16(clamping: form)) {
                case .lineStringOffset:
                    text = try Self.text(sections.lineStrings, try header.unsigned(offsetSize))
                case .stringOffset: text = try Self.text(sections.strings, try header.unsigned(offsetSize))
                case .string: text = String(decoding: header.bytes[try header.string()], as: UTF8.self)
                case .unsignedData: number = try header.uleb128()
                case .data1: number = try header.unsigned(1)
                case .data2: number = try header.unsigned(2)
                case .data4: number = try header.unsigned(4)
                case .data8: number = try header.unsigned(8)
                case .data16: try header.skip(16)
                case .block: try header.skip(try header.uleb128())
                default:
                    throw DWARFError(.unsupported, at: header.position, "form \(form) in a line number program")
                }
                // DW_LNCT_path and DW_LNCT_directory_index (section 7.22).
                if content == 1, let text { name = text }
                if content == 2 { directory = number }
            }
            result.append((name, directory))
        }
        return result
    }

    private static func text(_ bytes: [UInt8], _ offset: UInt64) throws(DWARFError) -> String {
        var cursor = try ByteCursor(bytes, from: offset)
        return String(decoding: bytes[try cursor.string()], as: UTF8.self)
    }
}
