//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ELF
import Foundation
import Testing

/// Images without section headers, and images as the loader makes them.
@Suite struct MemoryImageTests {
    private static let library = "/usr/lib/x86_64-linux-gnu/libcrypto.so.3"

    @Test func withoutSectionHeaders() throws {
        let whole = try ELFFile(try contents(Self.library))
        var bytes = whole.bytes
        for index in 40..<48 { bytes[index] = 0 }  // e_shoff
        for index in 60..<64 { bytes[index] = 0 }  // e_shnum, e_shstrndx
        let file = try ELFFile(bytes)
        try file.withImage { image in
            #expect(try image.sections.count == 0)
            #expect(try image.symbols == nil)
            #expect(try image.buildID() == whole.withImage { try $0.buildID() })
            guard let dynamic = try image.dynamic else { throw Complaint(text: "no dynamic section") }
            #expect(try dynamic.soname() == "libcrypto.so.3")
            #expect(try dynamic.symbols.first(named: "X509_verify_cert") != nil)
        }
    }

    /// Lays the segments out as the loader does and adds the load bias to the pointers of the dynamic section.
    @Test func asLoaded() throws {
        let bias: UInt64 = 0x7f12_3456_7000
        let file = try ELFFile(try contents(Self.library))
        var memory: [UInt8] = []
        try file.withImage { image in
            memory = [UInt8](repeating: 0, count: Int(try image.endAddress()))
            for segment in try image.segments.copied() where segment.type == .load {
                let start = Int(segment.address)
                memory.replaceSubrange(
                    start..<start + Int(segment.fileSize), with: try image.contents(of: segment).copied())
            }
            let dynamic = try #require(try image.segment(type: .dynamic))
            let pointers: Set<Int64> = [3, 4, 5, 6, 7, 23, 0x6fff_fef5, 0x6fff_fff0, 0x6fff_fffc, 0x6fff_fffe]
            let entries = try image.dynamic?.entries.copied() ?? []
            for (index, entry) in entries.enumerated()
            where pointers.contains(entry.tag.rawValue) {
                let place = Int(dynamic.address) + index * 16 + 8
                for byte in 0..<8 {
                    memory[place + byte] = UInt8(truncatingIfNeeded: (entry.value + bias) >> UInt64(8 * byte))
                }
            }
        }
        let image = try ELFImage(memory: memory.span.bytes, loadBias: bias)
        #expect(try image.sections.count == 0)
        #expect(try image.buildID() == file.withImage { try $0.buildID() })
        guard let dynamic = try image.dynamic else { throw Complaint(text: "no dynamic section") }
        #expect(try dynamic.soname() == "libcrypto.so.3")
        let symbols = try dynamic.symbols.symbols.copied()
        #expect(symbols.count > 5000)
        #expect(try symbols == file.withImage { try $0.dynamicSymbols?.symbols.copied() })
        let count = try dynamic.relocations.count
        #expect(try count == file.withImage { try $0.dynamic?.relocations.count })
        let versionCount = try dynamic.versions?.count
        #expect(versionCount == symbols.count)
    }

    /// The C library of this process as it lies in memory, relocated by the real dynamic linker.
    @Test func ownLibrary() throws {
        let maps = String(decoding: try contents("/proc/self/maps"), as: UTF8.self).split(separator: "\n")
        let line = try #require(maps.first { $0.hasSuffix("/libc.so.6") })
        let start = try #require(UInt(line.prefix { $0 != "-" }, radix: 16))
        let path = String(try #require(line.split(separator: " ").last))
        let file = try ELFFile(try contents(path))
        var memory: [UInt8] = []
        try file.withImage { image in
            memory = [UInt8](repeating: 0, count: Int(try image.endAddress()))
            for segment in try image.segments.copied() where segment.type == .load {
                let source = try #require(UnsafeRawPointer(bitPattern: start + UInt(segment.address)))
                let bytes = UnsafeRawBufferPointer(start: source, count: Int(segment.fileSize))
                memory.replaceSubrange(Int(segment.address)..<Int(segment.address + segment.fileSize), with: bytes)
            }
        }
        let image = try ELFImage(memory: memory.span.bytes, loadBias: UInt64(start))
        #expect(try image.buildID() == file.withImage { try $0.buildID() })
        guard let dynamic = try image.dynamic else { throw Complaint(text: "no dynamic section") }
        // The linker has added the bias: else this shows nothing.
        let raw = try #require(try dynamic.value(.symbolTable))
        #expect(raw > UInt64(start))
        #expect(try dynamic.soname() == "libc.so.6")
        let symbols = try dynamic.symbols
        let symbol = try #require(try symbols.first(named: "getpid"))
        #expect(symbol.type == .function)
        let all = symbols.symbols.copied()
        #expect(try all == file.withImage { try $0.dynamicSymbols?.symbols.copied() })
    }

    @Test func addressesAndOffsets() throws {
        let file = try ELFFile(try contents(Self.library))
        try file.withImage { image in
            for section in try image.sections.copied()
            where section.flags.contains(.allocated) && section.type != .noBits && section.size > 0 {
                #expect(try image.offset(ofAddress: section.address, count: section.size) == section.offset)
                #expect(
                    try image.contents(atAddress: section.address, count: section.size).elementsEqual(
                        image.contents(of: section)))
            }
            let bss = try #require(try image.section(named: ".bss"))
            #expect(try image.offset(ofAddress: bss.address, count: bss.size) == nil)
            #expect(try image.contents(of: bss).byteCount == 0)
            #expect(try image.offset(ofAddress: .max) == nil)
            #expect(throws: ELFError.self) { try image.contents(atAddress: 0, count: .max).byteCount }
        }
    }
}
