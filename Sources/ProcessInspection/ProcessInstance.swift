//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// One file, whatever names lead to it: stays the same across mount namespaces and after deletion.
package struct FileIdentity: Sendable, Hashable {
    /// `st_dev`.
    package var device: UInt64
    /// `st_ino`.
    package var inode: UInt64

    /// Makes an identity of its parts.
    package init(device: UInt64, inode: UInt64) {
        self.device = device
        self.inode = inode
    }
}

/// One process, and never another that got the same pid later: pid, start time and executable.
package struct ProcessInstance: Sendable, Hashable {
    /// The process id, as the pid namespace of the tool shows it.
    package var pid: Int32
    /// Field 22 of `/proc/PID/stat`: start time in clock ticks since boot (proc_pid_stat(5)).
    package var startTime: UInt64
    /// The executable's file; zeros for kernel threads.
    package var executable: FileIdentity

    /// Makes an instance of its parts.
    package init(pid: Int32, startTime: UInt64, executable: FileIdentity) {
        self.pid = pid
        self.startTime = startTime
        self.executable = executable
    }

    /// The instance as text for JSON and for people: `PID-START-DEVICE-INODE`, pid in decimal, the rest in
    /// hexadecimal.
    package var identifier: String {
        let parts = [startTime, executable.device, executable.inode].map { String($0, radix: 16) }
        return "\(pid)-" + parts.joined(separator: "-")
    }

    /// Reads what `identifier` wrote; nil for anything else.
    package init?(identifier: String) {
        let parts = identifier.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 4, let pid = Int32(parts[0]), pid > 0,
            let startTime = UInt64(parts[1], radix: 16), let device = UInt64(parts[2], radix: 16),
            let inode = UInt64(parts[3], radix: 16)
        else { return nil }
        self.init(pid: pid, startTime: startTime, executable: FileIdentity(device: device, inode: inode))
        guard self.identifier == identifier else { return nil }
    }
}
