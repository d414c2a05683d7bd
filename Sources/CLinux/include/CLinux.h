//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef MOULT_CLINUX_H
#define MOULT_CLINUX_H

// What the kernel offers and Swift's Glibc module does not show (variadic, or behind _GNU_SOURCE).
// Each function returns a value >= 0 or -errno; no logic lives here. Calls that a signal interrupts
// return -EINTR: what to do then is the caller's business.

#include <stddef.h>
#include <stdint.h>

// MARK: ptrace(2). All of them concern one task, named by its thread id, and must be called by the
// thread that seized it.

/// PTRACE_SEIZE with options (PTRACE_O_*): attaches without stopping.
long clinux_ptrace_seize(int32_t tid, uint64_t options);
/// PTRACE_INTERRUPT: asks a seized task to stop.
long clinux_ptrace_interrupt(int32_t tid);
/// PTRACE_CONT, delivering `signal` (0: none).
long clinux_ptrace_cont(int32_t tid, int32_t signal);
/// PTRACE_LISTEN: leaves a task in its group stop, but reports its end.
long clinux_ptrace_listen(int32_t tid);
/// PTRACE_SYSCALL: continues to the next entry or exit of a system call.
long clinux_ptrace_syscall(int32_t tid, int32_t signal);
/// PTRACE_DETACH, delivering `signal` (0: none).
long clinux_ptrace_detach(int32_t tid, int32_t signal);
/// PTRACE_GETREGSET of `note` (NT_PRSTATUS 1, NT_X86_XSTATE 0x202); returns the bytes written.
long clinux_ptrace_getregset(int32_t tid, uint32_t note, void *buffer, size_t size);
/// PTRACE_SETREGSET of `note`.
long clinux_ptrace_setregset(int32_t tid, uint32_t note, const void *buffer, size_t size);
/// PTRACE_GETSIGMASK (64 signals).
long clinux_ptrace_getsigmask(int32_t tid, uint64_t *mask);
/// PTRACE_SETSIGMASK (64 signals).
long clinux_ptrace_setsigmask(int32_t tid, uint64_t mask);
/// PTRACE_GETEVENTMSG.
long clinux_ptrace_geteventmsg(int32_t tid, uint64_t *message);
/// PTRACE_GETSIGINFO; `buffer` holds 128 bytes.
long clinux_ptrace_getsiginfo(int32_t tid, void *buffer);
/// PTRACE_GET_RSEQ_CONFIGURATION: the address and size of the task's struct rseq.
long clinux_ptrace_get_rseq(int32_t tid, uint64_t *address, uint32_t *size);
/// PTRACE_PEEKDATA: one word of memory.
long clinux_ptrace_peekdata(int32_t tid, uint64_t address, uint64_t *word);
/// PTRACE_POKEDATA: writes one word of memory, whatever its protection.
long clinux_ptrace_pokedata(int32_t tid, uint64_t address, uint64_t word);
/// PTRACE_SECCOMP_GET_FILTER: the number of instructions (8 bytes each) of filter `index`; copies them
/// if `buffer` is not null.
long clinux_ptrace_seccomp_get_filter(int32_t tid, uint64_t index, void *buffer);

// MARK: Waiting

/// wait4(tid, status, options): the task's id, 0 if nothing happened (WNOHANG).
long clinux_wait4(int32_t tid, int32_t *status, int32_t options);
/// waitid(P_PID, tid, info, options) for WNOWAIT looks; `*event` is si_code, `*status` is si_status.
long clinux_waitid(int32_t tid, int32_t options, int32_t *event, int32_t *status);
/// Blocks SIGCHLD for the calling thread; returns 1 if it was blocked before, else 0.
long clinux_block_sigchld(void);
/// Unblocks SIGCHLD for the calling thread.
long clinux_unblock_sigchld(void);
/// sigtimedwait({SIGCHLD}): the signal's number, or -EAGAIN after `nanoseconds` (less than a second).
long clinux_wait_sigchld(int64_t nanoseconds);

// MARK: Processes

/// pidfd_open(2).
long clinux_pidfd_open(int32_t pid, uint32_t flags);
/// pidfd_send_signal(2) without siginfo.
long clinux_pidfd_send_signal(int32_t descriptor, int32_t signal);
/// kcmp(2).
long clinux_kcmp(int32_t pid1, int32_t pid2, int32_t type, uint64_t index1, uint64_t index2);
/// getpid(2).
long clinux_getpid(void);
/// gettid(2).
long clinux_gettid(void);
/// sched_getscheduler(2) of the calling thread; `*priority` its real-time priority.
long clinux_getscheduler(int32_t *priority);
/// sched_setscheduler(2) of the calling thread.
long clinux_setscheduler(int32_t policy, int32_t priority);
/// capget(2): the effective capabilities of the calling thread.
long clinux_capabilities(uint64_t *effective);

// MARK: Memory of another process

/// One range for clinux_process_vm_*.
struct clinux_range {
    uint64_t address;
    uint64_t length;
};
/// process_vm_readv(2) into one buffer; at most 64 ranges of the process.
long clinux_process_vm_readv(int32_t pid, void *buffer, size_t size, const struct clinux_range *ranges, size_t count);
/// process_vm_writev(2) of one range.
long clinux_process_vm_writev(int32_t pid, const void *buffer, size_t size, uint64_t address);
/// pread(2) with an offset that may have its top bit set.
long clinux_pread(int32_t descriptor, void *buffer, size_t size, uint64_t offset);
/// pwrite(2) with an offset that may have its top bit set.
long clinux_pwrite(int32_t descriptor, const void *buffer, size_t size, uint64_t offset);

// MARK: Files

/// What clinux_stat tells of a file.
struct clinux_file {
    uint64_t device;
    uint64_t inode;
    uint64_t links;
    uint64_t size;
    uint32_t mode;
    uint32_t owner;
};
/// openat(2) with O_CLOEXEC; AT_FDCWD is -100.
long clinux_openat(int32_t directory, const char *path, int32_t flags);
/// flock(2), exclusive and without waiting: -EWOULDBLOCK if another open file holds it.
long clinux_lock(int32_t descriptor);
/// close(2).
long clinux_close(int32_t descriptor);
/// read(2).
long clinux_read(int32_t descriptor, void *buffer, size_t size);
/// readlinkat(2).
long clinux_readlinkat(int32_t directory, const char *path, void *buffer, size_t size);
/// fstatat(2), following symbolic links unless `follow` is 0.
long clinux_stat(int32_t directory, const char *path, int32_t follow, struct clinux_file *file);
/// getdents64(2).
long clinux_getdents(int32_t descriptor, void *buffer, size_t size);
/// lseek(2) to the beginning.
long clinux_rewind(int32_t descriptor);

// MARK: The machine

/// The cpuid instruction: eax, ebx, ecx, edx.
struct clinux_cpuid {
    uint32_t eax, ebx, ecx, edx;
};
/// Executes cpuid; returns 0.
long clinux_cpuid(uint32_t leaf, uint32_t subleaf, struct clinux_cpuid *registers);
/// memmem(3): the offset of the first occurrence, or -ENOENT.
long clinux_find(const void *bytes, size_t count, const void *wanted, size_t wanted_count);

// MARK: Clocks

/// CLOCK_MONOTONIC in nanoseconds.
long clinux_monotonic(void);
/// Sleeps (CLOCK_MONOTONIC).
long clinux_sleep(int64_t nanoseconds);

#endif
