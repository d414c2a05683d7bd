//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF

/// Finds the places of the shipped binary whose bytes a section of code can have become.
///
/// The index is the function table of the shipped binary: the functions of a section have their sizes and
/// distances there too, so the function of the rarest size leaves few places to compare. Only sections
/// without unwind rules (hand-written ones) are searched for by their bytes.
struct CandidateFinder {
    private let shipped: ShippedBinary

    init(_ shipped: ShippedBinary) { self.shipped = shipped }

    /// The addresses at which a section of code may begin, ascending.
    func places(
        of section: Int, in object: ObjectFile, pattern: CodePattern, functions: [FunctionRange]
    ) -> [Int] {
        let header = object.sections[section]
        let contents = object.contents(section)
        // A function of size 0 has no bytes to speak for it.
        let anchors = functions.filter { $0.size > 0 }
        var result: [Int] = []
        if let anchor = anchors.min(by: { count($0) < count($1) }) {
            for index in shipped.functionsBySize[anchor.size] ?? [] {
                let base = shipped.functions[index].start - anchor.start
                guard base >= 0, base % header.alignment == 0, has(anchors, at: base) else { continue }
                if matches(pattern, contents, at: base) { result.append(base) }
            }
        } else {
            search(pattern, contents, alignment: header.alignment, into: &result)
        }
        return result.sorted()
    }

    private func count(_ function: FunctionRange) -> Int { shipped.functionsBySize[function.size]?.count ?? 0 }

    private func has(_ functions: [FunctionRange], at base: Int) -> Bool {
        functions.allSatisfy { function in
            guard let index = shipped.functionsByStart[base + function.start] else { return false }
            return shipped.functions[index].size == function.size
        }
    }

    private func matches(_ pattern: CodePattern, _ contents: ArraySlice<UInt8>, at address: Int) -> Bool {
        guard let offset = shipped.fileOffset(address, count: contents.count) else { return false }
        return pattern.matches(contents, shipped.bytes, at: offset)
    }

    /// Searches all code for the longest run that the linker leaves alone.
    private func search(
        _ pattern: CodePattern, _ contents: ArraySlice<UInt8>, alignment: Int, into result: inout [Int]
    ) {
        guard let run = pattern.runs.max(by: { $0.count < $1.count }), run.count >= 4 else { return }
        let window = min(run.count, 8)
        let wanted = [UInt8](contents[(contents.startIndex + run.lowerBound)...].prefix(window))
        for section in shipped.sections where section.isCode && section.hasContents {
            guard section.size >= contents.count,
                let start = shipped.fileOffset(section.address, count: section.size)
            else { continue }
            // The first place in the section that is aligned.
            var distance = (alignment - section.address % alignment) % alignment
            shipped.bytes.withUnsafeBufferPointer { bytes in
                wanted.withUnsafeBufferPointer { wanted in
                    while distance <= section.size - contents.count {
                        let position = start + distance + run.lowerBound
                        var index = 0
                        while index < window, bytes[position + index] == wanted[index] { index += 1 }
                        if index == window, pattern.matches(contents, shipped.bytes, at: start + distance) {
                            result.append(section.address + distance)
                        }
                        distance += alignment
                    }
                }
            }
        }
    }
}
