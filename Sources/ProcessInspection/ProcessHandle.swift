//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import CLinux

/// One running process, held so that no other process can be addressed by mistake: a pidfd, its `/proc` directory
/// and its memory stay those of this instance even when the pid is given to another one.
///
/// Reading only: it never stops or changes the process.
package struct ProcessHandle: ~Copyable {
    /// The process that is held.
    package let instance: ProcessInstance
    private let pidfd: Descriptor
    private let folder: Descriptor
    private let mem: Descriptor

    /// The pidfd (owned by the handle).
    package var processDescriptor: Int32 { pidfd.number }
    /// The `/proc/PID` directory (owned by the handle).
    package var directory: Int32 { folder.number }
    /// `/proc/PID/mem`, open for reading and writing if that is allowed, else -1 (owned by the handle). It belongs to
    /// the memory that the process had when the handle was made: after an execve it reads and writes nothing.
    package var memory: Int32 { mem.number }
    /// Why `memory` could not be opened, 0 if it could.
    package let memoryErrno: Int32

    /// Holds the process with this pid.
    ///
    /// - Throws: `exited`, `noPrivilege`, `system`.
    package init(pid: Int32) throws(InspectionError) {
        let opened = clinux_pidfd_open(pid, 0)
        guard opened >= 0 else { throw ProcFile.error(opened, "pid \(pid)") }
        let pidfd = Descriptor(Int32(truncatingIfNeeded: opened))
        let directory = Descriptor.open(
            "/proc/\(pid)", in: OpenFlags.currentDirectory, flags: OpenFlags.readOnly | OpenFlags.directory)
        guard directory >= 0 else { throw ProcFile.error(directory, "/proc/\(pid)") }
        let folder = Descriptor(Int32(truncatingIfNeeded: directory))
        let instance = try Self.instance(pid: pid, directory: folder.number)
        let prefix = Self.memoryPrefix(pid: pid, directory: folder.number)
        let memory = Descriptor.open(prefix + "mem", in: folder.number, flags: OpenFlags.readWrite)
        // The pidfd came first: if its process still lives, the directory is that process's and no later one's.
        guard clinux_pidfd_send_signal(pidfd.number, 0) != -Int(ErrorNumber.noProcess) else {
            throw InspectionError(.exited, "process \(pid) has ended", errno: ErrorNumber.noProcess)
        }
        self.instance = instance
        self.pidfd = pidfd
        self.folder = folder
        self.mem = Descriptor(Int32(truncatingIfNeeded: max(memory, -1)))
        self.memoryErrno = memory < 0 ? Int32(truncatingIfNeeded: -memory) : 0
    }

    /// Holds the process that was seen before.
    ///
    /// - Throws: `reused` if the pid is another process now, `exited`, `noPrivilege`, `system`.
    package init(_ instance: ProcessInstance) throws(InspectionError) {
        let handle = try ProcessHandle(pid: instance.pid)
        guard handle.instance == instance else {
            throw InspectionError(.reused, "pid \(instance.pid) is another process now")
        }
        self = handle
    }

    /// Checks that the process still lives and still runs the same executable.
    ///
    /// - Throws: `exited`, or `reused` after an execve of another file.
    package func check() throws(InspectionError) {
        // A process whose leader is a zombie with live threads still answers, one that was reaped does not.
        let now = try Self.instance(pid: instance.pid, directory: folder.number)
        guard now == instance else {
            throw InspectionError(.reused, "process \(instance.pid) runs another program now")
        }
    }

    /// The contents of a file below `/proc/PID`.
    package func contents(_ path: String) throws(InspectionError) -> [UInt8] {
        try ProcFile.contents(path, in: folder.number)
    }

    /// Where the files that concern memory are: `""` for the process itself, `task/TID/` of a living thread if the main
    /// thread has ended before the others (pthread_exit), because it then has no memory any more.
    var memoryPrefix: String { Self.memoryPrefix(pid: instance.pid, directory: directory) }

    private static func memoryPrefix(pid: Int32, directory: Int32) -> String {
        func hasEnded(_ path: String) -> Bool {
            guard let bytes = try? ProcFile.contents(path, in: directory), let stat = StatParser.stat(bytes) else {
                return true
            }
            return stat.state == 0x5a || stat.state == 0x58
        }
        guard hasEnded("task/\(pid)/stat") else { return "" }
        let others = (try? ProcFile.numbers(in: "task", of: directory)) ?? []
        guard let living = others.first(where: { $0 != pid && !hasEnded("task/\($0)/stat") }) else { return "" }
        return "task/\(living)/"
    }

    private static func instance(pid: Int32, directory: Int32) throws(InspectionError) -> ProcessInstance {
        let bytes = try ProcFile.contents("stat", in: directory)
        guard let stat = StatParser.stat(bytes) else {
            throw InspectionError(.malformed, "/proc/\(pid)/stat cannot be understood")
        }
        var file = clinux_file()
        let result = unsafe clinux_stat(directory, memoryPrefix(pid: pid, directory: directory) + "exe", 1, &file)
        // Kernel threads and zombies have no executable; without privilege it cannot be told.
        let executable =
            result < 0
            ? FileIdentity(device: 0, inode: 0) : FileIdentity(device: file.device, inode: file.inode)
        return ProcessInstance(pid: pid, startTime: stat.startTime, executable: executable)
    }
}

/// The processes of this machine (of the tool's pid namespace).
package enum ProcessList {
    /// All pids, sorted; processes that come or go meanwhile may or may not be among them.
    ///
    /// - Throws: `system` if `/proc` cannot be read.
    package static func pids() throws(InspectionError) -> [Int32] {
        try ProcFile.numbers(in: "/proc", of: OpenFlags.currentDirectory)
    }
}
