//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// One task of a process as `/proc/PID/task/TID/stat` tells it.
package struct ThreadFacts: Sendable, Equatable {
    /// The thread id.
    package var tid: Int32
    /// State letter (proc_pid_stat(5)): `R` running, `S` sleeping, `D` uninterruptible, `T` stopped, `t` traced, `Z`
    /// zombie, `X` dead ...
    package var state: UInt8
    /// The thread's name (up to 15 bytes, hostile).
    package var name: [UInt8]
}

/// What `/proc/PID/status` and `stat` tell.
package struct ProcessStatus: Sendable, Equatable {
    /// State letter of the main thread.
    package var state: UInt8
    /// The process's name (hostile).
    package var name: [UInt8]
    /// Parent's pid.
    package var parent: Int32
    /// Process group.
    package var processGroup: Int32
    /// Effective user id.
    package var effectiveUser: UInt32
    /// Thread id of the tracer of the main thread, 0 if none.
    package var tracer: Int32
    /// Seccomp mode of the main thread: 0 none, 1 strict, 2 filter.
    package var seccomp: Int32
    /// Number of threads.
    package var threads: Int
    /// Whether it has no user memory (kernel threads).
    package var isKernelThread: Bool
    /// Whether the main thread uses a user shadow stack (`x86_Thread_features: shstk`).
    package var hasShadowStack: Bool
}

/// What runs in a process that live patches for ELF objects cannot reach.
package struct NotCovered: Sendable, Equatable {
    /// The executable was built by Go's toolchain: its libraries are inside it.
    package var isGo: Bool
    /// A Java virtual machine is mapped: code of class files is not ELF.
    package var isJava: Bool
}
