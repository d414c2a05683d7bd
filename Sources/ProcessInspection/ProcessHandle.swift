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
    /// The pidfd (owned by the handle).
    package let processDescriptor: Int32
    /// The `/proc/PID` directory (owned by the handle).
    package let directory: Int32
    /// `/proc/PID/mem`, open for reading and writing if that is allowed, else -1 (owned by the handle). It belongs to
    /// the memory that the process had when the handle was made: after an execve it reads and writes nothing.
    package let memory: Int32

    /// Holds the process with this pid.
    ///
    /// - Throws: `exited`, `noPrivilege`, `system`.
    package init(pid: Int32) throws(InspectionError) { fatalError("next commit") }

    /// Holds the process that was seen before.
    ///
    /// - Throws: `reused` if the pid is another process now, `exited`, `noPrivilege`, `system`.
    package init(_ instance: ProcessInstance) throws(InspectionError) { fatalError("next commit") }

    /// Checks that the process still lives and still runs the same executable.
    ///
    /// - Throws: `exited`, or `reused` after an execve of another file.
    package func check() throws(InspectionError) { fatalError("next commit") }

    /// All mappings, sorted by address.
    package func mappings() throws(InspectionError) -> [Mapping] { fatalError("next commit") }

    /// Reads `count` bytes, all or nothing.
    ///
    /// - Throws: `unreadable` if any of it cannot be read, `exited`.
    package func read(_ address: UInt64, count: Int) throws(InspectionError) -> [UInt8] { fatalError("next commit") }

    /// Reads as many of `count` bytes as there are from `address` on (none is no error).
    package func readAvailable(_ address: UInt64, count: Int) -> [UInt8] { fatalError("next commit") }

    /// Reads several ranges with as few system calls as possible, for stacks of many threads under a stop. A range
    /// that cannot be read whole gives what could be read of it.
    package func read(_ ranges: [Range<UInt64>]) -> [[UInt8]] { fatalError("next commit") }

    /// The ELF objects that are loaded, sorted by address, told by their bytes in memory; what only looks like one (a
    /// file mapped for reading) is left out.
    package func loadedObjects() throws(InspectionError) -> [LoadedObject] { fatalError("next commit") }

    /// The same, from mappings read before.
    package func loadedObjects(in mappings: [Mapping]) -> [LoadedObject] { fatalError("next commit") }

    /// All tasks of the process.
    package func threads() throws(InspectionError) -> [ThreadFacts] { fatalError("next commit") }

    /// State, owner, tracer, seccomp mode ...
    package func status() throws(InspectionError) -> ProcessStatus { fatalError("next commit") }

    /// What is in the way of patching it, as far as can be told without touching it.
    package func patchability(under limits: KernelLimits) -> Patchability { fatalError("next commit") }

    /// What in it live patches cannot reach.
    package func notCovered(objects: [LoadedObject]) -> NotCovered { fatalError("next commit") }

    /// Pids of other thread groups that share this process's memory (CLONE_VM, vfork), found among processes that run
    /// the same executable.
    package func sharers() -> [Int32] { fatalError("next commit") }
}

/// The processes of this machine (of the tool's pid namespace).
package enum ProcessList {
    /// All pids, sorted; processes that come or go meanwhile may or may not be among them.
    ///
    /// - Throws: `system` if `/proc` cannot be read.
    package static func pids() throws(InspectionError) -> [Int32] { fatalError("next commit") }
}
