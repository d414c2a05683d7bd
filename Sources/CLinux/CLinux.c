//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#define _GNU_SOURCE
#include "CLinux.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/ptrace.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long result(long value) { return value < 0 ? -(long)errno : value; }

// The raw system call: glibc's wrapper reads a word of its own for the PEEK requests.
static long trace(long request, int32_t tid, uint64_t address, uint64_t data) {
    return result(syscall(SYS_ptrace, request, (long)tid, address, data));
}

static uint64_t word(const void *pointer) { return (uint64_t)(uintptr_t)pointer; }

long clinux_ptrace_seize(int32_t tid, uint64_t options) { return trace(PTRACE_SEIZE, tid, 0, options); }
long clinux_ptrace_interrupt(int32_t tid) { return trace(PTRACE_INTERRUPT, tid, 0, 0); }
long clinux_ptrace_cont(int32_t tid, int32_t signal) { return trace(PTRACE_CONT, tid, 0, (uint64_t)signal); }
long clinux_ptrace_listen(int32_t tid) { return trace(PTRACE_LISTEN, tid, 0, 0); }
long clinux_ptrace_syscall(int32_t tid, int32_t signal) { return trace(PTRACE_SYSCALL, tid, 0, (uint64_t)signal); }
long clinux_ptrace_detach(int32_t tid, int32_t signal) { return trace(PTRACE_DETACH, tid, 0, (uint64_t)signal); }

long clinux_ptrace_getregset(int32_t tid, uint32_t note, void *buffer, size_t size) {
    struct iovec vector = {buffer, size};
    long value = trace(PTRACE_GETREGSET, tid, note, word(&vector));
    return value < 0 ? value : (long)vector.iov_len;
}

long clinux_ptrace_setregset(int32_t tid, uint32_t note, const void *buffer, size_t size) {
    struct iovec vector = {(void *)(uintptr_t)buffer, size};
    return trace(PTRACE_SETREGSET, tid, note, word(&vector));
}

long clinux_ptrace_getsigmask(int32_t tid, uint64_t *mask) {
    return trace(PTRACE_GETSIGMASK, tid, sizeof *mask, word(mask));
}

long clinux_ptrace_setsigmask(int32_t tid, uint64_t mask) {
    return trace(PTRACE_SETSIGMASK, tid, sizeof mask, word(&mask));
}

long clinux_ptrace_geteventmsg(int32_t tid, uint64_t *message) {
    return trace(PTRACE_GETEVENTMSG, tid, 0, word(message));
}

long clinux_ptrace_getsiginfo(int32_t tid, void *buffer) { return trace(PTRACE_GETSIGINFO, tid, 0, word(buffer)); }

long clinux_ptrace_get_rseq(int32_t tid, uint64_t *address, uint32_t *size) {
    struct ptrace_rseq_configuration configuration = {0};
    long value = trace(PTRACE_GET_RSEQ_CONFIGURATION, tid, sizeof configuration, word(&configuration));
    *address = configuration.rseq_abi_pointer;
    *size = configuration.rseq_abi_size;
    return value;
}

long clinux_ptrace_peekdata(int32_t tid, uint64_t address, uint64_t *value) {
    return trace(PTRACE_PEEKDATA, tid, address, word(value));
}

long clinux_ptrace_pokedata(int32_t tid, uint64_t address, uint64_t value) {
    return trace(PTRACE_POKEDATA, tid, address, value);
}

long clinux_ptrace_seccomp_get_filter(int32_t tid, uint64_t index, void *buffer) {
    return trace(PTRACE_SECCOMP_GET_FILTER, tid, index, word(buffer));
}

long clinux_wait4(int32_t tid, int32_t *status, int32_t options) {
    return result(wait4(tid, status, options, NULL));
}

long clinux_waitid(int32_t tid, int32_t options, int32_t *event, int32_t *status) {
    siginfo_t info = {0};
    long value = result(waitid(P_PID, (id_t)tid, &info, options));
    *event = info.si_code;
    *status = info.si_status;
    return value;
}

static long mask_sigchld(int how) {
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    int value = pthread_sigmask(how, &set, &before);
    return value != 0 ? -(long)value : sigismember(&before, SIGCHLD);
}

long clinux_block_sigchld(void) { return mask_sigchld(SIG_BLOCK); }
long clinux_unblock_sigchld(void) { return mask_sigchld(SIG_UNBLOCK); }

long clinux_wait_sigchld(int64_t nanoseconds) {
    sigset_t set;
    struct timespec limit = {0, nanoseconds};
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    return result(sigtimedwait(&set, NULL, &limit));
}

long clinux_pidfd_open(int32_t pid, uint32_t flags) { return result(syscall(SYS_pidfd_open, pid, flags)); }

long clinux_pidfd_send_signal(int32_t descriptor, int32_t signal) {
    return result(syscall(SYS_pidfd_send_signal, descriptor, signal, NULL, 0));
}

long clinux_kcmp(int32_t pid1, int32_t pid2, int32_t type, uint64_t index1, uint64_t index2) {
    return result(syscall(SYS_kcmp, pid1, pid2, type, index1, index2));
}

long clinux_getpid(void) { return getpid(); }
long clinux_gettid(void) { return syscall(SYS_gettid); }

long clinux_getscheduler(int32_t *priority) {
    struct sched_param parameter = {0};
    long value = result(sched_getparam(0, &parameter));
    *priority = parameter.sched_priority;
    return value < 0 ? value : result(sched_getscheduler(0));
}

long clinux_setscheduler(int32_t policy, int32_t priority) {
    struct sched_param parameter = {.sched_priority = priority};
    return result(sched_setscheduler(0, policy, &parameter));
}

long clinux_capabilities(uint64_t *effective) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0}};
    long value = result(syscall(SYS_capget, &header, data));
    *effective = (uint64_t)data[0].effective | (uint64_t)data[1].effective << 32;
    return value;
}

long clinux_process_vm_readv(int32_t pid, void *buffer, size_t size, const struct clinux_range *ranges, size_t count) {
    struct iovec local = {buffer, size};
    struct iovec remote[64];
    if (count > 64) return -EINVAL;
    for (size_t i = 0; i < count; i++)
        remote[i] = (struct iovec){(void *)(uintptr_t)ranges[i].address, ranges[i].length};
    return result(process_vm_readv(pid, &local, 1, remote, count, 0));
}

long clinux_process_vm_writev(int32_t pid, const void *buffer, size_t size, uint64_t address) {
    struct iovec local = {(void *)(uintptr_t)buffer, size};
    struct iovec remote = {(void *)(uintptr_t)address, size};
    return result(process_vm_writev(pid, &local, 1, &remote, 1, 0));
}

long clinux_pread(int32_t descriptor, void *buffer, size_t size, uint64_t offset) {
    return result(pread(descriptor, buffer, size, (off_t)offset));
}

long clinux_pwrite(int32_t descriptor, const void *buffer, size_t size, uint64_t offset) {
    return result(pwrite(descriptor, buffer, size, (off_t)offset));
}

long clinux_openat(int32_t directory, const char *path, int32_t flags) {
    return result(openat(directory, path, flags | O_CLOEXEC));
}

long clinux_lock(int32_t descriptor) { return result(flock(descriptor, LOCK_EX | LOCK_NB)); }

long clinux_close(int32_t descriptor) { return result(close(descriptor)); }

long clinux_read(int32_t descriptor, void *buffer, size_t size) { return result(read(descriptor, buffer, size)); }

long clinux_readlinkat(int32_t directory, const char *path, void *buffer, size_t size) {
    return result(readlinkat(directory, path, buffer, size));
}

long clinux_stat(int32_t directory, const char *path, int32_t follow, struct clinux_file *file) {
    struct stat status;
    long value = result(fstatat(directory, path, &status, follow ? 0 : AT_SYMLINK_NOFOLLOW));
    if (value < 0) return value;
    *file = (struct clinux_file){status.st_dev,  status.st_ino,  status.st_nlink, (uint64_t)status.st_size,
                                 status.st_mode, status.st_uid};
    return 0;
}

long clinux_getdents(int32_t descriptor, void *buffer, size_t size) {
    return result(syscall(SYS_getdents64, descriptor, buffer, size));
}

long clinux_rewind(int32_t descriptor) { return result(lseek(descriptor, 0, SEEK_SET)); }

long clinux_cpuid(uint32_t leaf, uint32_t subleaf, struct clinux_cpuid *r) {
    __cpuid_count(leaf, subleaf, r->eax, r->ebx, r->ecx, r->edx);
    return 0;
}

long clinux_find(const void *bytes, size_t count, const void *wanted, size_t wanted_count) {
    const char *found = memmem(bytes, count, wanted, wanted_count);
    return found == NULL ? -(long)ENOENT : found - (const char *)bytes;
}

long clinux_monotonic(void) {
    struct timespec now;
    return clock_gettime(CLOCK_MONOTONIC, &now) < 0 ? -(long)errno : now.tv_sec * 1000000000L + now.tv_nsec;
}

long clinux_sleep(int64_t nanoseconds) {
    struct timespec time = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    return -(long)clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}
