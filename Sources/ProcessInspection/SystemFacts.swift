//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Facts of the whole system, as the tool's pid namespace shows them.
package enum SystemFacts {
    /// The id that was given to the newest task (last field of `/proc/loadavg`, proc_loadavg(5)); nil if it cannot be
    /// told.
    package static func lastProcessID() -> Int32? {
        guard let bytes = try? ProcFile.contents("/proc/loadavg", in: OpenFlags.currentDirectory) else { return nil }
        return bytes.split { $0 == 0x20 || $0 == 0x0a }.last.flatMap(DecimalBytes.value).flatMap(Int32.init(exactly:))
    }

    /// State letter of a task by its id alone; nil if there is none. (Safe only while the id cannot be given anew, as for
    /// a task that we trace.)
    package static func state(of tid: Int32) -> UInt8? {
        let bytes = try? ProcFile.contents("/proc/\(tid)/stat", in: OpenFlags.currentDirectory)
        // The group's stat of a dead leader shows the leader's own state.
        return bytes.flatMap { StatParser.stat($0)?.state }
    }

    /// `vm.mmap_min_addr`: the lowest address that may be mapped; the usual 64 KiB if it cannot be read.
    package static func lowestAddress() -> UInt64 {
        let bytes = try? ProcFile.contents("/proc/sys/vm/mmap_min_addr", in: OpenFlags.currentDirectory)
        return bytes.flatMap { DecimalBytes.value($0.prefix { $0 != 0x0a }) }.map { max($0, 65536) } ?? 65536
    }
}
