//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Commands
import FoundationEssentials
import PatchBuilding

/// The files of a report, each there whole or not at all.
enum ReportFiles {
    /// Writes `report.html` and `report.json` into a directory.
    ///
    /// - Throws: `CommandError` with `system-failed`, naming the directory.
    static func write(page: String, document: String, to directory: String) throws(CommandError) {
        do {
            let place = URL(filePath: directory, directoryHint: .isDirectory)
            try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
            try Data(page.utf8).write(to: place.appending(path: "report.html"), options: .atomic)
            try Data((document + "\n").utf8).write(to: place.appending(path: "report.json"), options: .atomic)
        } catch {
            throw .failure(
                Failure(
                    reason: PreparationError.Code.systemFailed.rawValue,
                    message: "the report cannot be written to \(directory): \(error)",
                    remedy: "Check disk space and permissions of the directory."), .failed)
        }
    }
}
