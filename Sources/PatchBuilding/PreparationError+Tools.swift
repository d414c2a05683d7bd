//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Glibc

extension PreparationError {
    /// What tools and the system say when a file system is full, or a user's share of it.
    private static let wordsOfFullDisk = [
        "No space left on device", "Disk quota exceeded", "don't have enough free space", "Code=640",
    ]

    /// The error that the failure of a tool is: the code given, or `noSpace` where the tool says so. Whatever was
    /// done, a full disk is what a person has to do something about.
    ///
    /// - Parameters:
    ///   - code: what kind of failure it is otherwise.
    ///   - reason: a sentence for a person.
    ///   - said: all that the tool said; its end becomes the details.
    ///   - directory: where it wrote. Not every tool says why it could not write.
    static func ofTool(
        _ code: Code, _ reason: String, said: String, writing directory: String? = nil
    ) -> PreparationError {
        let isFull = wordsOfFullDisk.contains { said.contains($0) } || directory.map(Files.isFull) ?? false
        return PreparationError(
            isFull ? .noSpace : code, isFull ? "no space is left: \(reason)" : reason, details: Command.end(said))
    }

    /// The error that the failure of a system call is.
    ///
    /// - Parameters:
    ///   - reason: a sentence for a person, without its end.
    ///   - number: what errno was.
    static func ofSystem(_ reason: String, _ number: Int32) -> PreparationError {
        let words = strerror(number).map { String(cString: $0) } ?? "error \(number)"
        let isFull = number == ENOSPC || number == EDQUOT
        return PreparationError(isFull ? .noSpace : .systemFailed, "\(reason): \(words)")
    }
}
