//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import PatchPlan
import ProcessInspection
import Unwinding

/// Collects the unwind rules of everything that is mapped into one process, read from its own memory.
///
/// They are not shared between processes: what one process has in its memory must not decide about another one.
struct UnwindRules {
    /// Most bytes of rules that are read: what does not fit is scanned word by word.
    private static let limit: UInt64 = 256 << 20

    private(set) var tables = FrameTableMap()

    /// Reads the rules of all objects: two bulk reads. An object whose rules cannot be understood is left out;
    /// stacks that pass through it are scanned word by word.
    init(_ handle: borrowing ProcessHandle, objects: [LoadedObject]) {
        var known: [(object: LoadedObject, header: FrameHeader)] = []
        let withRules = objects.filter { $0.unwindHeader != nil && !$0.text.isEmpty }
        let headers = handle.read(withRules.map { Self.place($0, $0.unwindHeader ?? 0..<0) })
        var sections: [Range<UInt64>] = []
        var total: UInt64 = 0
        for (object, bytes) in zip(withRules, headers) {
            guard let range = object.unwindHeader,
                let header = try? FrameHeader(bytes, address: range.lowerBound),
                let segment = object.segments.first(where: { $0.range.contains(header.sectionAddress) })
            else { continue }
            let (end, overflow) = segment.range.lowerBound.addingReportingOverflow(segment.fileSize)
            guard !overflow, end > header.sectionAddress, total &+ (end - header.sectionAddress) <= Self.limit
            else { continue }
            total += end - header.sectionAddress
            known.append((object, header))
            sections.append(Self.place(object, header.sectionAddress..<end))
        }
        let contents = sections.isEmpty ? [] : handle.read(sections)
        for (index, item) in known.enumerated() where index < contents.count {
            guard let table = try? FrameTable(section: contents[index], header: item.header) else { continue }
            for text in item.object.text {
                tables.insert(LocatedFrameTable(table: table, bias: item.object.loadBias), for: text)
            }
        }
    }

    /// Adds the rules of a patch memory.
    ///
    /// - Parameters:
    ///   - memory: its header.
    ///   - bytes: header and image.
    mutating func add(_ memory: PatchMemory, bytes: [UInt8]) {
        let start = Int(memory.headerSize) + Int(memory.unwindOffset)
        guard start <= memory.size, memory.size <= bytes.count,
            let table = try? FrameTable(
                section: Array(bytes[start..<memory.size]),
                address: memory.imageAddress &+ UInt64(memory.unwindOffset))
        else { return }
        tables.insert(LocatedFrameTable(table: table, bias: 0), for: memory.range.lower..<memory.range.upper)
    }

    private static func place(_ object: LoadedObject, _ range: Range<UInt64>) -> Range<UInt64> {
        let lower = object.loadBias &+ range.lowerBound
        let (upper, overflow) = lower.addingReportingOverflow(range.upperBound - range.lowerBound)
        return overflow ? lower..<lower : lower..<upper
    }
}
