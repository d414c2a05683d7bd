//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF
internal import Glibc

/// A section's bytes as something to search for: what the linker writes is left out.
struct CodePattern: Sendable {
    /// Ranges of the section that the linker leaves alone, ascending, not empty.
    let runs: [Range<Int>]
    /// Bytes in all runs.
    let weight: Int

    /// Makes the pattern of a section.
    init(_ section: ObjectSection) {
        var runs: [Range<Int>] = []
        var position = 0
        var weight = 0
        for relocation in section.relocations {
            var width = ObjectRelocation.width(of: relocation.type)
            // The linker may rewrite a load from the GOT, opcode and all (psABI x86-64, section 9.2).
            var before =
                switch relocation.type {
                case .gotPCRelativeRelaxable: 2
                case .gotPCRelativeRelaxableREX: 3
                default: 0
                }
            if let extent = ThreadLocalSequence.extent(of: relocation.type) { (before, width) = extent }
            let first = max(position, relocation.offset - before)
            if first > position {
                runs.append(position..<first)
                weight += first - position
            }
            position = max(position, relocation.offset + width)
        }
        if section.contents.count > position {
            runs.append(position..<section.contents.count)
            weight += section.contents.count - position
        }
        self.runs = runs
        self.weight = weight
    }

    /// Whether the runs of `section` are found at `offset` of `shipped`; the caller has checked that the
    /// section fits there.
    func matches(_ section: ArraySlice<UInt8>, _ shipped: [UInt8], at offset: Int) -> Bool {
        section.withUnsafeBytes { pattern in
            shipped.withUnsafeBytes { text in
                guard let first = pattern.baseAddress, let second = text.baseAddress else { return weight == 0 }
                guard offset >= 0, pattern.count <= text.count, offset <= text.count - pattern.count else {
                    return false
                }
                for run in runs where memcmp(first + run.lowerBound, second + offset + run.lowerBound, run.count) != 0 {
                    return false
                }
                return true
            }
        }
    }
}
