//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import CLinux
internal import ProcessInspection

/// Instructions of the process itself that a borrowed thread runs.
struct SystemCallSite: Equatable {
    /// How the thread gets from the system call to the signal frame.
    enum SignalReturn: Equatable {
        /// `mov rax, 15; syscall` (`__restore_rt`).
        case restorer(UInt64)
        /// `pop rax; ret`.
        case popRax(UInt64)
    }

    /// Address of `syscall; ret`.
    var systemCall: UInt64
    /// The way back.
    var signalReturn: SignalReturn

    private static let systemCallBytes: [UInt8] = [0x0f, 0x05, 0xc3]
    private static let restorerBytes: [UInt8] = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05]
    private static let popRaxBytes: [UInt8] = [0x58, 0xc3]

    /// Finds them in the code of the process: the C library first, it has all of them and is never unmapped; else
    /// anywhere.
    static func find(in process: borrowing ProcessHandle, mappings: [Mapping]) -> SystemCallSite? {
        var systemCall: UInt64?
        var restorer: UInt64?
        var popRax: UInt64?
        for mapping in ordered(mappings) {
            let size = Int(clamping: mapping.range.upperBound - mapping.range.lowerBound)
            let code = process.readAvailable(mapping.range.lowerBound, count: min(size, 64 << 20))
            func offset(_ wanted: [UInt8]) -> UInt64? {
                let found = unsafe clinux_find(code, code.count, wanted, wanted.count)
                return found < 0 ? nil : mapping.range.lowerBound + UInt64(found)
            }
            systemCall = systemCall ?? offset(systemCallBytes)
            restorer = restorer ?? offset(restorerBytes)
            popRax = popRax ?? offset(popRaxBytes)
            if let systemCall, let restorer {
                return SystemCallSite(systemCall: systemCall, signalReturn: .restorer(restorer))
            }
        }
        guard let systemCall, let popRax else { return nil }
        return SystemCallSite(systemCall: systemCall, signalReturn: .popRax(popRax))
    }

    /// Code from files, the C library's first; then the vDSO. Anonymous code (of a JIT compiler) may change under us.
    private static func ordered(_ mappings: [Mapping]) -> [Mapping] {
        let code = mappings.filter { mapping in
            mapping.isExecutable && mapping.isReadable && !mapping.isWritable
                && (mapping.identity != nil || mapping.name.elementsEqual("[vdso]".utf8))
        }
        func order(_ mapping: Mapping) -> Int {
            let file = mapping.name.split(separator: 0x2f).last ?? []
            if file.starts(with: "libc.".utf8) || file.starts(with: "libc-".utf8) { return 0 }
            if file.starts(with: "ld-".utf8) { return 1 }
            return mapping.identity == nil ? 3 : 2
        }
        return (0...3).flatMap { wanted in code.filter { order($0) == wanted } }
    }
}
