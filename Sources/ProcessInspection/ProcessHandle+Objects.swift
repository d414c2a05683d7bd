//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// ELF objects in memory. Everything here was written by the process, or by whoever could write to it: nothing traps.
extension ProcessHandle {
    /// The ELF objects that are loaded, sorted by address, told by their bytes in memory; what only looks like one (a
    /// file mapped for reading) is left out.
    package func loadedObjects() throws(InspectionError) -> [LoadedObject] {
        try loadedObjects(in: mappings())
    }

    /// The same, from mappings read before.
    package func loadedObjects(in mappings: [Mapping]) -> [LoadedObject] {
        var objects: [LoadedObject] = []
        var foundExecutable = false
        for mapping in mappings where mapping.isReadable && mapping.fileOffset == 0 {
            let isVDSO = mapping.identity == nil && mapping.name == Self.vdsoName
            guard mapping.identity != nil || isVDSO,
                let header = MemoryELFHeader(readAvailable(mapping.range.lowerBound, count: 64)),
                var object = object(at: mapping, header: header)
            else { continue }
            if isVDSO {
                object.kind = .vdso
            } else {
                guard Self.isLoaded(object, in: mappings) else { continue }
                if mapping.identity == instance.executable, !foundExecutable {
                    object.kind = .executable
                    foundExecutable = true
                }
            }
            objects.append(object)
        }
        return objects
    }

    private static let vdsoName = Array("[vdso]".utf8)

    /// The object whose first bytes `mapping` holds.
    private func object(at mapping: Mapping, header: MemoryELFHeader) -> LoadedObject? {
        let tableSize = Int(header.programHeaderCount) * MemoryELFHeader.programHeaderSize
        let (tableAddress, overflow) = mapping.range.lowerBound.addingReportingOverflow(header.programHeaderOffset)
        guard !overflow, header.programHeaderOffset < mapping.range.upperBound - mapping.range.lowerBound else {
            return nil
        }
        let table = readAvailable(tableAddress, count: tableSize)
        guard table.count == tableSize else { return nil }
        let headers = MemoryELFHeader.programHeaders(table)
        // The segment that holds the file's first bytes says where addresses count from.
        guard let first = headers.first(where: { $0.type == 1 && $0.fileOffset < 4096 }) else { return nil }
        let bias = mapping.range.lowerBound &- (first.address &- first.fileOffset)
        var object = LoadedObject(
            kind: .library, name: mapping.name, identity: mapping.identity, isDeleted: mapping.isDeleted, buildID: nil,
            machine: header.machine, type: header.type, loadBias: bias, segments: [], unwindHeader: nil,
            dynamicSection: nil)
        for entry in headers {
            guard let range = entry.range else { return nil }
            switch entry.type {
            case 1:
                object.segments.append(
                    LoadedSegment(
                        range: range, fileOffset: entry.fileOffset, fileSize: entry.fileSize, flags: entry.flags))
            case 2: object.dynamicSection = range
            case 4 where object.buildID == nil:
                let size = min(Int(clamping: entry.memorySize), 65536)
                let notes = readAvailable(bias &+ entry.address, count: size)
                object.buildID = NoteReader.description(
                    of: Array("GNU\0".utf8), type: 3, in: notes, alignment: entry.alignment == 8 ? 8 : 4)
            case 0x6474_e550: object.unwindHeader = range
            default: break
            }
        }
        object.segments.sort { $0.range.lowerBound < $1.range.lowerBound }
        guard header.type == 3 || bias == 0, !object.segments.isEmpty else { return nil }
        return object
    }

    /// Whether every segment with code lies where the object says, mapped executable from the same file.
    private static func isLoaded(_ object: LoadedObject, in mappings: [Mapping]) -> Bool {
        var hasCode = false
        for segment in object.segments where segment.isExecutable {
            hasCode = true
            let address = object.loadBias &+ segment.range.lowerBound
            guard let mapping = mappings.containing(address), mapping.identity == object.identity, mapping.isExecutable,
                mapping.fileOffset &+ (address &- mapping.range.lowerBound) == segment.fileOffset
            else { return false }
        }
        return hasCode
    }
}

extension [Mapping] {
    /// The mapping that holds `address` (by bisection: mappings are sorted).
    package func containing(_ address: UInt64) -> Mapping? {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle].range.upperBound <= address { low = middle + 1 } else { high = middle }
        }
        guard low < count, self[low].range.contains(address) else { return nil }
        return self[low]
    }
}
