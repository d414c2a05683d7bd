//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import ELF
internal import Unwinding

/// The file that the distribution ships, read once: bytes by address, functions by `.eh_frame`, dynamic
/// symbols and relocations, PLT stubs.
///
/// Addresses are target-relative and below 2^47, so that sums of a few of them cannot overflow.
struct ShippedBinary: Sendable {
    /// A part of the file that is loaded.
    struct Part: Sendable {
        let address: Int
        /// Where it lies in the file.
        let contents: Range<Int>
        let isCode: Bool
    }

    /// A section that is loaded.
    struct LoadedSection: Sendable {
        let name: String
        let address: Int
        let size: Int
        let isCode: Bool
        let hasContents: Bool

        var addresses: Range<Int> { address..<(address + size) }
    }

    /// A relocation that the dynamic linker does.
    struct DynamicRelocation: Sendable {
        let type: RelocationType
        /// The symbol it names; empty for none.
        let symbol: String
        /// The version of that symbol; empty for none.
        let version: String
        let addend: Int
    }

    /// A symbol that the file exports.
    struct Export: Sendable {
        let address: Int
        let size: Int
        let isFunction: Bool
        let isIndirect: Bool
        let isThreadLocal: Bool
    }

    let bytes: [UInt8]
    let buildID: [UInt8]
    let soname: String?
    let machine: UInt16
    let isPositionIndependent: Bool
    /// Whether all addresses are resolved before the program runs (`-z now`).
    let bindsNow: Bool
    /// Whether it looks for its own symbols in itself first (`-Bsymbolic`).
    let isSymbolic: Bool
    /// Whether it is a program, and not a library: its thread-local variables lie next to the thread pointer.
    let isExecutable: Bool
    /// The template of its thread-local variables; nil where it has none.
    let threadLocalBlock: ThreadLocalBlock?
    let parts: [Part]
    let sections: [LoadedSection]
    /// The unwind rules.
    let frames: FrameTable
    /// By address, ascending.
    let functions: [FunctionRange]
    /// Index in `functions` by size, and by address.
    let functionsBySize: [Int: [Int]]
    let functionsByStart: [Int: Int]
    /// Exported symbols by name; several where there are several versions.
    let exports: [String: [Export]]
    /// What the dynamic linker writes, by address.
    let dynamicRelocations: [Int: DynamicRelocation]
    /// Where that is, ascending.
    let relocatedAddresses: [Int]

    /// Reads a shipped file.
    ///
    /// - Throws: `PatchBuildingError` (`unsuitableTarget`) where it is not an x86-64 shared object or
    ///   executable with a build-id, sections and `.eh_frame`.
    init(_ bytes: [UInt8]) throws(PatchBuildingError) {
        do throws(ELFError) {
            let file = try ELFFile(bytes)
            let image = file.image
            guard file.header.machine == .x86_64, file.header.type == .shared || file.header.type == .executable else {
                throw ELFError(.unsupported, at: 0, "not a shared object or executable for x86-64")
            }
            guard let buildID = try image.buildID(), (8...64).contains(buildID.count) else {
                throw ELFError(.notFound, at: 0, "there is no build-id")
            }
            self.bytes = bytes
            self.buildID = buildID
            machine = file.header.machine.rawValue
            isPositionIndependent = file.header.type == .shared
            parts = try Self.readParts(image)
            sections = try Self.readSections(image)
            (frames, functions) = try Self.readFunctions(image)
            let identity = try Self.readIdentity(image)
            (soname, bindsNow, isSymbolic) = (identity.soname, identity.bindsNow, identity.isSymbolic)
            isExecutable = file.header.type == .executable || identity.isProgram
            threadLocalBlock = try ThreadLocalBlock.read(image, limit: Self.limit)
            (exports, dynamicRelocations) = try Self.readDynamic(image, threadLocals: threadLocalBlock)
        } catch {
            throw PatchBuildingError(.unsuitableTarget, "The shipped binary: \(error.reason)")
        }
        relocatedAddresses = dynamicRelocations.keys.sorted()
        var bySize: [Int: [Int]] = [:]
        var byStart: [Int: Int] = [:]
        for (index, function) in functions.enumerated() {
            bySize[function.size, default: []].append(index)
            byStart[function.start] = index
        }
        functionsBySize = bySize
        functionsByStart = byStart
    }

    // MARK: - Bytes by address

    /// Where the bytes of an address lie in the file, or nil where the file does not have them.
    func fileOffset(_ address: Int, count: Int) -> Int? {
        for part in parts where address >= part.address {
            let distance = address &- part.address
            if distance <= part.contents.count, count <= part.contents.count - distance {
                return part.contents.lowerBound + distance
            }
        }
        return nil
    }

    /// The bytes at an address, or nil where the file does not have them.
    func contents(_ address: Int, count: Int) -> ArraySlice<UInt8>? {
        guard count >= 0, let offset = fileOffset(address, count: count) else { return nil }
        return bytes[offset..<(offset + count)]
    }

    /// The signed 32-bit number at an address.
    func signed32(_ address: Int) -> Int? {
        guard let offset = fileOffset(address, count: 4) else { return nil }
        let value =
            UInt32(bytes[offset]) | UInt32(bytes[offset + 1]) << 8 | UInt32(bytes[offset + 2]) << 16
            | UInt32(bytes[offset + 3]) << 24
        return Int(Int32(bitPattern: value))
    }

    /// The section that an address lies in.
    func section(containing address: Int) -> LoadedSection? {
        sections.first { $0.addresses.contains(address) }
    }

    /// Where in a range of addresses the dynamic linker writes.
    func relocations(in range: Range<Int>) -> ArraySlice<Int> {
        var low = 0
        var high = relocatedAddresses.count
        // A relocation up to 7 bytes before the range reaches into it.
        while low < high {
            let middle = (low + high) / 2
            if relocatedAddresses[middle] < range.lowerBound - 7 { low = middle + 1 } else { high = middle }
        }
        var end = low
        while end < relocatedAddresses.count, relocatedAddresses[end] < range.upperBound { end += 1 }
        return relocatedAddresses[low..<end]
    }

    // MARK: - Reading

    private static let limit = UInt64(1) << 47

    private static func readParts(_ image: borrowing ELFImage) throws(ELFError) -> [Part] {
        let segments = try image.segments
        var result: [Part] = []
        for index in 0..<segments.count {
            let segment = try segments[index]
            guard segment.type == .load else { continue }
            let count = try image.contents(of: segment).byteCount
            guard segment.address < limit, segment.memorySize < limit else {
                throw ELFError(.malformed, at: segment.offset, "a segment lies outside of the address space")
            }
            result.append(
                Part(
                    address: Int(segment.address), contents: Int(segment.offset)..<(Int(segment.offset) + count),
                    isCode: segment.flags.contains(.execute)))
        }
        return result
    }

    private static func readSections(_ image: borrowing ELFImage) throws(ELFError) -> [LoadedSection] {
        let table = try image.sections
        var result: [LoadedSection] = []
        for index in 0..<table.count {
            let section = try table[index]
            guard section.flags.contains(.allocated) else { continue }
            guard section.address < limit, section.size < limit else {
                throw ELFError(.malformed, at: section.offset, "a section lies outside of the address space")
            }
            result.append(
                LoadedSection(
                    name: try image.name(of: section), address: Int(section.address), size: Int(section.size),
                    isCode: section.flags.contains(.executable), hasContents: section.type != .noBits))
        }
        guard result.contains(where: \.isCode) else {
            throw ELFError(.notFound, at: 0, "there are no section headers")
        }
        return result
    }

    private static func readFunctions(_ image: borrowing ELFImage) throws(ELFError) -> (FrameTable, [FunctionRange]) {
        guard let section = try image.section(named: ".eh_frame") else {
            throw ELFError(.notFound, at: 0, "there is no .eh_frame")
        }
        var result: [FunctionRange] = []
        let contents = try image.contents(of: section).copied()
        do throws(UnwindError) {
            let table = try FrameTable(section: contents, address: section.address)
            result.reserveCapacity(table.count)
            for index in 0..<table.count {
                let description = try table.description(index: index)
                guard description.start < limit, description.size < limit else { continue }
                result.append(
                    FunctionRange(
                        start: Int(description.start), size: Int(description.size),
                        hasLanguageData: description.languageDataFieldOffset != nil, descriptionIndex: index))
            }
            return (table, result)
        } catch {
            throw ELFError(.malformed, at: section.offset, ".eh_frame: \(error.reason)")
        }
    }

    private static func readIdentity(
        _ image: borrowing ELFImage
    ) throws(ELFError) -> (soname: String?, bindsNow: Bool, isSymbolic: Bool, isProgram: Bool) {
        guard let dynamic = try image.dynamic else { return (nil, true, false, true) }
        let flags = try dynamic.value(.flags) ?? 0
        let flags1 = try dynamic.value(.flags1) ?? 0
        let bindNow = try dynamic.value(.bindNow)
        // DF_BIND_NOW, DF_1_NOW, DF_SYMBOLIC, DF_1_PIE (gABI, "Dynamic Section").
        let symbolic = try dynamic.value(.symbolic)
        return (
            try dynamic.soname(), bindNow != nil || flags & 0x8 != 0 || flags1 & 0x1 != 0,
            symbolic != nil || flags & 0x2 != 0, flags1 & 0x0800_0000 != 0
        )
    }

    private static func readDynamic(
        _ image: borrowing ELFImage, threadLocals: ThreadLocalBlock?
    ) throws(ELFError) -> ([String: [Export]], [Int: DynamicRelocation]) {
        // The section tells how many symbols there are; the hash table leaves undefined ones out.
        guard let dynamic = try image.dynamic, let table = try image.dynamicSymbols else { return ([:], [:]) }
        let versions = try dynamic.versions
        var names: [String] = []
        var versionNames: [String] = []
        var exports: [String: [Export]] = [:]
        for index in 0..<table.count {
            let symbol = try table[index]
            let name = try table.name(of: symbol)
            names.append(name)
            var version = ""
            if let versions, index < versions.count, let found = try versions.version(ofSymbol: index) {
                version = try versions.name(of: found)
            }
            versionNames.append(version)
            guard symbol.isDefined, symbol.sectionIndex != SpecialIndex.absolute, symbol.value < limit else { continue }
            // The value of a thread-local symbol is an offset in the block.
            let origin = symbol.type == .threadLocal ? threadLocals?.address ?? 0 : 0
            exports[name, default: []].append(
                Export(
                    address: origin + Int(symbol.value), size: Int(clamping: symbol.size),
                    isFunction: symbol.type == .function || symbol.type == .indirectFunction,
                    isIndirect: symbol.type == .indirectFunction, isThreadLocal: symbol.type == .threadLocal))
        }
        var relocations: [Int: DynamicRelocation] = [:]
        let tables = [try dynamic.relocations.copied(), try dynamic.pltRelocations.copied()]
        for table in tables {
            for record in table {
                guard record.offset < limit, record.symbol < names.count else {
                    throw ELFError(.malformed, at: record.offset, "a dynamic relocation lies outside of everything")
                }
                relocations[Int(record.offset)] = DynamicRelocation(
                    type: record.type, symbol: names[Int(record.symbol)], version: versionNames[Int(record.symbol)],
                    addend: Int(record.addend))
            }
        }
        return (exports, relocations)
    }
}
