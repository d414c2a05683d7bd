//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import Glibc

/// Standard output and standard error, written without buffering between processes: what was written is
/// there even if the next instruction ends the program.
package enum StandardStream: Int32, Sendable {
    /// Results.
    case output = 1
    /// Progress, warnings, errors.
    case error = 2

    /// Writes a line.
    /// - Returns: Whether all of it was written. A closed pipe is no reason to fail a patch that is applied.
    @discardableResult
    package func write(line: String) -> Bool {
        var bytes = Array(line.utf8)
        bytes.append(0x0a)
        var written = 0
        while written < bytes.count {
            let count = unsafe bytes[written...].withUnsafeBytes { buffer in
                unsafe Glibc.write(rawValue, buffer.baseAddress, buffer.count)
            }
            if count < 0 {
                if errno == EINTR { continue }
                return false
            }
            written += count
        }
        return true
    }
}

extension String {
    /// The text with everything that a terminal could obey replaced: names of processes and files come from
    /// others. Control characters become `\u{..}`.
    package var printable: String {
        guard unicodeScalars.contains(where: \.isControl) else { return self }
        var result = ""
        for scalar in unicodeScalars {
            if scalar.isControl {
                result += "\\u{" + String(scalar.value, radix: 16) + "}"
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

extension Unicode.Scalar {
    /// C0, C1, and the marks that turn the direction of writing (Unicode Standard Annex 9).
    fileprivate var isControl: Bool {
        switch value {
        case 0..<0x20, 0x7f..<0xa0, 0x200e...0x200f, 0x202a...0x202e, 0x2066...0x2069: true
        default: false
        }
    }
}
