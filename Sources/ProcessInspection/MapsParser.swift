//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Reads `/proc/PID/maps` (proc_pid_maps(5)): `start-end perms offset major:minor inode   name`.
enum MapsParser {
    /// All lines; one that cannot be understood is an error.
    static func mappings(_ bytes: [UInt8]) throws(InspectionError) -> [Mapping] {
        var mappings: [Mapping] = []
        var start = bytes.startIndex
        while start < bytes.endIndex {
            let end = bytes[start...].firstIndex(of: 0x0a) ?? bytes.endIndex
            guard let mapping = mapping(bytes[start..<end]) else {
                throw InspectionError(.malformed, "a line of /proc/PID/maps cannot be understood")
            }
            mappings.append(mapping)
            start = end + 1
        }
        return mappings
    }

    /// One line, without its newline.
    private static func mapping(_ line: ArraySlice<UInt8>) -> Mapping? {
        // Five fields; the name may hold anything, so it is what is left.
        var rest = line
        var fields: [ArraySlice<UInt8>] = []
        for _ in 0..<5 {
            let field = rest.prefix { $0 != 0x20 }
            fields.append(field)
            rest = rest.dropFirst(field.count).drop { $0 == 0x20 }
        }
        guard let dash = fields[0].firstIndex(of: 0x2d),
            let lower = DecimalBytes.hexadecimal(fields[0][..<dash]),
            let upper = DecimalBytes.hexadecimal(fields[0][(dash + 1)...]), lower <= upper,
            fields[1].count == 4,
            let offset = DecimalBytes.hexadecimal(fields[2]),
            let colon = fields[3].firstIndex(of: 0x3a),
            let major = DecimalBytes.hexadecimal(fields[3][..<colon]),
            let minor = DecimalBytes.hexadecimal(fields[3][(colon + 1)...]),
            let inode = DecimalBytes.value(fields[4])
        else { return nil }
        let permissions = Array(fields[1])
        let shown = FileIdentity(device: device(major: major, minor: minor), inode: inode)
        var name = unescaped(rest)
        var isDeleted = false
        if inode != 0, name.count > deletedSuffix.count, name.suffix(deletedSuffix.count).elementsEqual(deletedSuffix) {
            name.removeLast(deletedSuffix.count)
            isDeleted = true
        }
        return Mapping(
            range: lower..<upper, isReadable: permissions[0] == 0x72, isWritable: permissions[1] == 0x77,
            isExecutable: permissions[2] == 0x78, isShared: permissions[3] == 0x73, fileOffset: offset,
            shownFile: shown, identity: inode == 0 ? nil : shown, name: name, isDeleted: isDeleted)
    }

    /// What the kernel puts behind the name of a file that has none any more.
    private static let deletedSuffix = Array(" (deleted)".utf8)

    /// `gnu_dev_makedev` (sys/sysmacros.h): how stat(2) packs a device number.
    private static func device(major: UInt64, minor: UInt64) -> UInt64 {
        (major & 0xfff) << 8 | (major & ~0xfff) << 32 | (minor & 0xff) | (minor & ~0xff) << 12
    }

    /// The kernel writes a newline in a name as `\012` and escapes nothing else, so a name that holds these four
    /// characters is told wrongly: names are for people only.
    private static func unescaped(_ name: ArraySlice<UInt8>) -> [UInt8] {
        guard name.contains(0x5c) else { return Array(name) }
        var bytes: [UInt8] = []
        var rest = name
        while let byte = rest.first {
            if byte == 0x5c, rest.dropFirst().starts(with: [0x30, 0x31, 0x32]) {
                bytes.append(0x0a)
                rest = rest.dropFirst(4)
            } else {
                bytes.append(byte)
                rest = rest.dropFirst()
            }
        }
        return bytes
    }
}
