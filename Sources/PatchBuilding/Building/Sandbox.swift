//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import Glibc

/// Where that is run which others wrote: a package's own build, and tools that read what was fetched.
///
/// Bubblewrap makes it out of user namespaces, so it is the same for root and for a user, without a set-uid
/// program and without a daemon. unshare(1) makes the same namespaces, but not a root file system of a few
/// read-only mounts. In a sandbox:
///
/// - there is no network but a loopback of its own, and no socket of the machine;
/// - nothing can be written but what is mounted writable, `/tmp` and `/dev/shm`, which are its own. `/proc` is
///   read-only too: files below `/proc/sys` belong to root, who may be the one that started it;
/// - no process of the machine is seen, and all that it started ends with it, as it ends with this process;
/// - there is no home, no configuration of the machine but what compilers need, and no capability;
/// - the host's name, the user, the time zone, the mask of new files and all variables are fixed.
///
/// What it does not do: it does not limit memory, disk space or time, and the kernel is not hidden.
///
/// Sources: bwrap(1), user_namespaces(7), pid_namespaces(7).
struct Sandbox: Sendable, Equatable {
    /// A file or directory of the machine that is seen inside.
    struct Mount: Sendable, Equatable {
        /// Where it is.
        var source: String
        /// Where it is seen; what is between the root and there is made.
        var place: String
        /// Whether it can be written.
        var isWritable: Bool
    }

    /// Directory inside for what is ours.
    static let own = "/moult"

    /// What is seen beside the system's programs, in the order in which it is mounted.
    var mounts: [Mount]

    /// A sandbox in which nothing of the machine can be written.
    init() { mounts = [] }

    /// The same with something seen that cannot be written.
    func reading(_ source: String, at place: String) -> Sandbox { adding(source, place, isWritable: false) }

    /// The same with something seen that can be written.
    func writing(_ source: String, at place: String) -> Sandbox { adding(source, place, isWritable: true) }

    private func adding(_ source: String, _ place: String, isWritable: Bool) -> Sandbox {
        var sandbox = self
        sandbox.mounts.append(Mount(source: source, place: place, isWritable: isWritable))
        return sandbox
    }

    // MARK: - The command

    /// The variables that everything inside has.
    static let environment = [
        "PATH": Command.path, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "TZ": "UTC", "TMPDIR": "/tmp",
    ]

    /// The user inside: nobody, who is in the fixed list of users. It is the one outside who started us.
    private static let user = "65534"

    /// What of /etc compilers, linkers and interpreters read. Not all of it: there are secrets.
    private static let configuration = [
        "alternatives", "debian_version", "dpkg", "fonts", "java", "ld.so.cache", "ld.so.conf", "ld.so.conf.d",
        "mime.types", "perl", "protocols", "python3", "python3.11", "services", "sgml", "texmf", "xml",
    ]

    /// The arguments of bwrap(1) that run a program inside.
    ///
    /// - Parameters:
    ///   - program: its name, looked up in the fixed PATH.
    ///   - arguments: its arguments.
    ///   - directory: where it is run, inside; nil for the root.
    ///   - variables: what is set beside the fixed variables.
    func arguments(
        running program: String, _ arguments: [String], in directory: String?, variables: [String: String]
    ) -> [String] {
        var words = [
            "--unshare-user", "--disable-userns", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts",
            "--unshare-cgroup-try", "--uid", Sandbox.user, "--gid", Sandbox.user, "--hostname", "moult",
            "--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL", "--clearenv",
        ]
        for (name, value) in Sandbox.environment.merging(variables, uniquingKeysWith: { $1 }).sorted(by: { $0 < $1 }) {
            words += ["--setenv", name, value]
        }
        words += Sandbox.system
        for mount in mounts {
            words += [mount.isWritable ? "--bind" : "--ro-bind", mount.source, mount.place]
        }
        // Last: until here places to mount at are made.
        words += ["--remount-ro", "/", "--chdir", directory ?? "/", "--"]
        // bwrap(1) cannot set the mask of new files. The shell stays, as the first process of its namespace: with
        // it all others end, and what they used is counted where it is waited for, which bwrap's own first process
        // is not.
        return words + ["sh", "-c", "umask 022; \"$@\"; exit $?", "sh", program] + arguments
    }

    /// The mounts that every sandbox has.
    private static let system: [String] = {
        var words = ["--ro-bind", "/usr", "/usr"]
        for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
            // On a merged system these are links to /usr, on an old one directories.
            if let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/" + name) {
                words += ["--symlink", target, "/" + name]
            } else if Files.exists("/" + name) {
                words += ["--ro-bind", "/" + name, "/" + name]
            }
        }
        for name in configuration { words += ["--ro-bind-try", "/etc/" + name, "/etc/" + name] }
        // The distribution's own list of users, not this machine's.
        for name in ["passwd", "group"] {
            words += ["--ro-bind-try", "/usr/share/base-passwd/\(name).master", "/etc/" + name]
        }
        words += ["--ro-bind-try", "/var/lib/dpkg", "/var/lib/dpkg"]
        return words + ["--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    }()

    /// Whether something can be mounted at a place without hiding what the sandbox itself needs.
    static func isFree(_ place: String) -> Bool {
        let taken = [
            "usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "proc", "dev", "var",
            Files.name(own),
        ]
        guard NameRule.absolutePath(place), let first = place.split(separator: "/").first else { return false }
        return !taken.contains(String(first))
    }

    // MARK: - Whether there can be one

    /// Makes one and throws it away, so that what is missing is said before anything is fetched.
    ///
    /// - Throws: `PreparationError` with `sandboxUnavailable`, saying why.
    static func check() async throws(PreparationError) {
        let result: Command.Result
        do {
            result = try await Command("true", [], sandbox: Sandbox()).result()
        } catch {
            throw PreparationError(
                .sandboxUnavailable, "bubblewrap, which makes sandboxes for builds, could not be run",
                details: error.details)
        }
        guard result.status != 0 else { return }
        throw PreparationError(
            .sandboxUnavailable, "no sandbox can be made for the build (bwrap ended with \(result.status))",
            details: Command.end(result.errors))
    }
}
