//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A place in a source.
package struct SourcePlace: Sendable, Hashable, Comparable {
    /// The file, with the directory of the compilation before it unless it is absolute, and without `.` and `..`.
    package var file: String
    /// The line, counted from 1.
    package var line: Int

    /// Makes a place of its parts.
    package init(file: String, line: Int) {
        self.file = file
        self.line = line
    }

    package static func < (first: SourcePlace, second: SourcePlace) -> Bool {
        (first.file, first.line) < (second.file, second.line)
    }
}

extension SourcePlace: CustomStringConvertible {
    /// As compilers write it: `ssl/record/record.h:140`.
    package var description: String { "\(file):\(line)" }
}

/// Tells where entries are declared (DWARF 5, section 2.14). Tables of files are read when they are first needed.
package struct SourcePlaces {
    private let information: DebugInformation
    private var tables: [Int: LineTable] = [:]

    /// Makes it for debug information.
    package init(_ information: DebugInformation) { self.information = information }

    /// Where an entry is declared; nil where it does not tell.
    ///
    /// - Throws: `DWARFError` where the table of files cannot be read or has no such file.
    package mutating func place(of id: EntryID) throws(DWARFError) -> SourcePlace? {
        let entry = id.number
        guard let file = information.number(.declarationFile, of: entry),
            let line = information.number(.declarationLine, of: entry)
        else { return nil }
        let entries = information.table.entries
        let unit = entries[entry].unit
        let root = information.table.units[unit].firstEntry
        if tables[unit] == nil {
            guard let program = information.table.value(.lineProgram, of: root) else { return nil }
            tables[unit] = try LineTable(information.sections, at: program.number)
        }
        guard let table = tables[unit], file < UInt64(table.files.count) else {
            throw DWARFError(.malformed, at: entries[entry].offset, "file \(file) is not in the table of files")
        }
        let (directory, name) = table.files[Int(file)]
        let compilation = try information.text(.compilationDirectory, of: root) ?? ""
        return SourcePlace(file: Self.path([compilation, directory, name]), line: Int(clamping: line))
    }

    /// Puts a path together: what is absolute begins anew.
    private static func path(_ parts: [String]) -> String {
        var whole = ""
        for part in parts where !part.isEmpty {
            whole = part.hasPrefix("/") || whole.isEmpty ? part : "\(whole)/\(part)"
        }
        var result: [Substring] = []
        for component in whole.split(separator: "/") where component != "." {
            if component == "..", let last = result.last, last != ".." {
                result.removeLast()
            } else {
                result.append(component)
            }
        }
        return (whole.hasPrefix("/") ? "/" : "") + result.joined(separator: "/")
    }
}
