//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

internal import CLinux

// What the process is and does.
extension ProcessHandle {
    /// All tasks of the process.
    package func threads() throws(InspectionError) -> [ThreadFacts] {
        var threads: [ThreadFacts] = []
        for tid in try threadIDs() {
            // One that ended since the listing is simply not there.
            guard let thread = try? thread(tid) else { continue }
            threads.append(thread)
        }
        return threads
    }

    /// One task of the process.
    ///
    /// - Throws: `exited` if there is none with this id.
    package func thread(_ tid: Int32) throws(InspectionError) -> ThreadFacts {
        guard let stat = StatParser.stat(try contents("task/\(tid)/stat")) else {
            throw InspectionError(.malformed, "/proc/PID/task/\(tid)/stat cannot be understood")
        }
        return ThreadFacts(tid: tid, state: stat.state, name: stat.name)
    }

    /// Whether there is such a thread in the process, by one system call.
    package func hasThread(_ tid: Int32) -> Bool {
        var file = clinux_file()
        return unsafe clinux_stat(directory, "task/\(tid)", 1, &file) == 0
    }

    /// The thread ids only, sorted.
    package func threadIDs() throws(InspectionError) -> [Int32] {
        try ProcFile.numbers(in: "task", of: directory)
    }

    /// State, owner, tracer, seccomp mode ...
    package func status() throws(InspectionError) -> ProcessStatus {
        let text = try contents("status")
        guard let stat = StatParser.stat(try contents("stat")) else {
            throw InspectionError(.malformed, "/proc/\(instance.pid)/stat cannot be understood")
        }
        let number = { (key: String) in StatParser.number(key, of: text) }
        let users = StatParser.field("Uid", of: text) ?? []
        guard users.count >= 2, let user = DecimalBytes.value(users[1]).flatMap(UInt32.init(exactly:)) else {
            throw InspectionError(.malformed, "/proc/\(instance.pid)/status cannot be understood")
        }
        let features = StatParser.field("x86_Thread_features", of: text) ?? []
        return ProcessStatus(
            state: stat.state, name: stat.name, parent: stat.parent, processGroup: stat.processGroup,
            effectiveUser: user, tracer: Int32(clamping: number("TracerPid") ?? 0),
            seccomp: Int32(clamping: number("Seccomp") ?? 0), threads: stat.threads,
            isKernelThread: stat.flags & 0x0020_0000 != 0,
            hasShadowStack: features.contains { $0.elementsEqual("shstk".utf8) })
    }

    /// What in it live patches cannot reach.
    package func notCovered(objects: [LoadedObject]) -> NotCovered {
        let isJava = objects.contains { $0.name.suffix(10).elementsEqual("/libjvm.so".utf8) }
        var isGo = false
        if let program = objects.first(where: { $0.kind == .executable }) {
            isGo = hasGoNote(program)
        }
        return NotCovered(isGo: isGo, isJava: isJava)
    }

    /// Go's linker writes a note of the name `Go`, type 4 (its build-id), into every executable.
    private func hasGoNote(_ program: LoadedObject) -> Bool {
        guard let header = MemoryELFHeader(readAvailable(program.range.lowerBound, count: 64)) else { return false }
        let table = readAvailable(
            program.range.lowerBound &+ header.programHeaderOffset,
            count: Int(header.programHeaderCount) * MemoryELFHeader.programHeaderSize)
        return MemoryELFHeader.programHeaders(table).contains { entry in
            guard entry.type == 4 else { return false }
            let notes = readAvailable(
                program.loadBias &+ entry.address, count: min(Int(clamping: entry.memorySize), 65536))
            return NoteReader.description(
                of: Array("Go\0\0".utf8), type: 4, in: notes, alignment: entry.alignment == 8 ? 8 : 4) != nil
        }
    }

    /// Pids of other thread groups that share this process's memory (CLONE_VM, vfork), found among processes that run
    /// the same executable: one that shares the memory has not run an execve of its own.
    package func sharers() -> [Int32] {
        guard let pids = try? ProcessList.pids() else { return [] }
        return sharers(among: pids)
    }

    /// The same, among these pids.
    package func sharers(among pids: [Int32]) -> [Int32] {
        pids.filter { pid in
            guard pid != instance.pid else { return false }
            var file = clinux_file()
            guard unsafe clinux_stat(OpenFlags.currentDirectory, "/proc/\(pid)/exe", 1, &file) == 0,
                FileIdentity(device: file.device, inode: file.inode) == instance.executable
            else { return false }
            // KCMP_VM: 0 if both have the same memory.
            guard clinux_kcmp(instance.pid, pid, 1, 0, 0) == 0 else { return false }
            // An id may be that of a thread (of ours, too): only a thread group's leader has a pidfd.
            return Descriptor(Int32(truncatingIfNeeded: max(clinux_pidfd_open(pid, 0), -1))).number >= 0
        }
    }
}
