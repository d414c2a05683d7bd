//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Reads `/proc/PID/stat` and `/proc/PID/status` (proc_pid_stat(5), proc_pid_status(5)).
enum StatParser {
    /// What is used of one `stat` line.
    struct Stat: Equatable {
        var name: [UInt8]
        var state: UInt8
        var parent: Int32
        var processGroup: Int32
        var flags: UInt64
        var threads: Int
        var startTime: UInt64
    }

    /// The line. The name may hold spaces and parentheses, so fields count from the last closing one.
    static func stat(_ bytes: [UInt8]) -> Stat? {
        guard let open = bytes.firstIndex(of: 0x28), let close = bytes.lastIndex(of: 0x29), open < close,
            close + 2 < bytes.count
        else { return nil }
        let fields = bytes[(close + 2)...].split(separator: 0x20)
        // fields[0] is field 3 of proc_pid_stat(5).
        guard fields.count >= 20, let state = fields[0].first,
            let parent = DecimalBytes.value(fields[1]).flatMap(Int32.init(exactly:)),
            let group = DecimalBytes.value(fields[2]).flatMap(Int32.init(exactly:)),
            let flags = DecimalBytes.value(fields[6]),
            let threads = DecimalBytes.value(fields[17]).flatMap(Int.init(exactly:)),
            let startTime = DecimalBytes.value(fields[19])
        else { return nil }
        return Stat(
            name: Array(bytes[(open + 1)..<close]), state: state, parent: parent, processGroup: group, flags: flags,
            threads: threads, startTime: startTime)
    }

    /// The values behind `key:` in a `status` file, split at white space; nil if there is no such line. The name in the
    /// first line comes with its newlines escaped, so it cannot forge one.
    static func field(_ key: String, of status: [UInt8]) -> [ArraySlice<UInt8>]? {
        let wanted = Array(key.utf8) + [0x3a]
        for line in status.split(separator: 0x0a) where line.starts(with: wanted) {
            return line.dropFirst(wanted.count).split { $0 == 0x20 || $0 == 0x09 }
        }
        return nil
    }

    /// The first number behind `key:`.
    static func number(_ key: String, of status: [UInt8]) -> UInt64? {
        field(key, of: status)?.first.flatMap(DecimalBytes.value)
    }
}
