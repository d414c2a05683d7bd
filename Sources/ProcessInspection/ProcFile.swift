//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import CLinux

/// A file descriptor with one owner.
struct Descriptor: ~Copyable {
    /// The number; -1 if there is none.
    let number: Int32

    init(_ number: Int32) {
        self.number = number
    }

    /// Opens `path` seen from `directory`; the value is -errno if that fails.
    static func open(_ path: String, in directory: Int32, flags: Int32) -> Int {
        unsafe clinux_openat(directory, path, flags)
    }

    deinit {
        if number >= 0 { _ = clinux_close(number) }
    }
}

/// `O_RDONLY`, `O_RDWR` and the like of asm-generic/fcntl.h (x86-64): Glibc's module is not imported here.
enum OpenFlags {
    static let readOnly: Int32 = 0
    static let readWrite: Int32 = 2
    static let directory: Int32 = 0o200000
    static let nonBlocking: Int32 = 0o4000
    /// `AT_FDCWD`
    static let currentDirectory: Int32 = -100
}

/// Errors of system calls that are told apart.
enum ErrorNumber {
    static let notPermitted: Int32 = 1
    static let noEntry: Int32 = 2
    static let noProcess: Int32 = 3
    static let interrupted: Int32 = 4
    static let accessDenied: Int32 = 13
}

/// Whole small files of `/proc`.
enum ProcFile {
    /// The contents of `path` seen from `directory`; at most `limit` bytes, which is far more than the kernel writes
    /// for anything but the mappings of the largest processes.
    static func contents(
        _ path: String, in directory: Int32, limit: Int = 256 << 20
    ) throws(InspectionError) -> [UInt8] {
        let opened = Descriptor.open(path, in: directory, flags: OpenFlags.readOnly)
        guard opened >= 0 else { throw error(opened, path) }
        let file = Descriptor(Int32(truncatingIfNeeded: opened))
        var bytes: [UInt8] = []
        let piece = 65536
        while bytes.count < limit {
            var result = 0
            let part = unsafe [UInt8](unsafeUninitializedCapacity: piece) { buffer, count in
                result = unsafe clinux_read(file.number, buffer.baseAddress, piece)
                count = max(result, 0)
            }
            if result == 0 { break }
            if result == -Int(ErrorNumber.interrupted) { continue }
            guard result > 0 else { throw error(result, path) }
            bytes.append(contentsOf: part)
        }
        return bytes
    }

    /// The error for a failed system call on `path`.
    static func error(_ result: Int, _ path: String) -> InspectionError {
        let number = Int32(truncatingIfNeeded: -result)
        return switch number {
        case ErrorNumber.noEntry, ErrorNumber.noProcess:
            InspectionError(.exited, "the process has ended (\(path))", errno: number)
        case ErrorNumber.notPermitted, ErrorNumber.accessDenied:
            InspectionError(.noPrivilege, "the kernel does not let this user read \(path)", errno: number)
        default:
            InspectionError(.system, "reading \(path) failed with errno \(number)", errno: number)
        }
    }

    /// The numbers among the names in a directory (pids in `/proc`, tids in `task`), sorted.
    static func numbers(in path: String, of directory: Int32) throws(InspectionError) -> [Int32] {
        let opened = Descriptor.open(path, in: directory, flags: OpenFlags.readOnly | OpenFlags.directory)
        guard opened >= 0 else { throw error(opened, path) }
        let folder = Descriptor(Int32(truncatingIfNeeded: opened))
        var numbers: [Int32] = []
        let size = 32768
        while true {
            var result = 0
            let entries = unsafe [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
                result = unsafe clinux_getdents(folder.number, buffer.baseAddress, size)
                count = max(result, 0)
            }
            if result == 0 { break }
            guard result > 0 else { throw error(result, path) }
            appendNumbers(of: entries, to: &numbers)
        }
        numbers.sort()
        return numbers
    }

    /// Records of getdents64(2): inode (8 bytes), offset (8), record length (2), type (1), name with a zero at its end.
    private static func appendNumbers(of entries: [UInt8], to numbers: inout [Int32]) {
        var start = 0
        while start + 19 < entries.count {
            let length = Int(entries[start + 16]) | Int(entries[start + 17]) << 8
            guard length > 19, start + length <= entries.count else { return }
            let name = entries[(start + 19)..<(start + length)].prefix { $0 != 0 }
            if let number = DecimalBytes.value(name), let small = Int32(exactly: number), small > 0 {
                numbers.append(small)
            }
            start += length
        }
    }
}

/// Numbers in text files of the kernel.
enum DecimalBytes {
    /// The decimal number that `digits` is, nil if it is anything else or too large.
    static func value(_ digits: ArraySlice<UInt8>) -> UInt64? {
        guard !digits.isEmpty else { return nil }
        var value: UInt64 = 0
        for digit in digits {
            guard digit >= 0x30, digit <= 0x39 else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(digit - 0x30))
            guard !overflow, !carry else { return nil }
            value = sum
        }
        return value
    }

    /// The hexadecimal number that `digits` is, nil if it is anything else or too large.
    static func hexadecimal(_ digits: ArraySlice<UInt8>) -> UInt64? {
        guard !digits.isEmpty, digits.count <= 16 else { return nil }
        var value: UInt64 = 0
        for digit in digits {
            let nibble: UInt8
            switch digit {
            case 0x30...0x39: nibble = digit - 0x30
            case 0x61...0x66: nibble = digit - 0x61 + 10
            case 0x41...0x46: nibble = digit - 0x41 + 10
            default: return nil
            }
            value = value << 4 | UInt64(nibble)
        }
        return value
    }
}
