//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Commands
import PatchPlan
import ProcessInspection

/// The processes that a call is about.
enum Selection {
    /// What was asked for by `--pid` and `--all`.
    ///
    /// `--pid` takes a number, or the identifier of an instance as `moult targets` prints it: then a process that
    /// got the same number later is refused.
    static func named(_ arguments: Arguments) throws(UsageError) -> [Result<ProcessInstance, Refusal>]? {
        let values = arguments.values(of: "pid")
        guard !values.isEmpty else { return nil }
        guard !arguments.has("all") else { throw UsageError("--pid and --all exclude each other") }
        var chosen: [Result<ProcessInstance, Refusal>] = []
        for value in values {
            if let instance = ProcessInstance(identifier: value) {
                chosen.append(.success(instance))
            } else if let pid = Int32(value), pid > 0 {
                chosen.append(hold(pid))
            } else {
                throw UsageError("'\(value)' is neither a process id nor the identifier of a process instance")
            }
        }
        return chosen
    }

    private static func hold(_ pid: Int32) -> Result<ProcessInstance, Refusal> {
        do throws(InspectionError) {
            return .success(try ProcessHandle(pid: pid).instance)
        } catch {
            let reason: Refusal.Reason = error.code == .exited ? .noSuchProcess : .noPermission
            return .failure(
                Refusal(
                    reason, "Process \(pid): \(error.reason)",
                    remedy: reason == .noSuchProcess ? "Check the process id." : "Run as root."))
        }
    }

    /// All processes that this PID namespace shows and that map an object with one of these build-ids; never this
    /// one, and never process 1: what everything hangs on is patched only when it is named.
    static func all(mapping buildIDs: Set<[UInt8]>) -> [ProcessInstance] {
        all { handle in
            guard let mappings = try? handle.mappings() else { return false }
            return handle.loadedObjects(in: mappings).contains { object in
                object.buildID.map { buildIDs.contains($0) } ?? false
            }
        }
    }

    /// All processes that a condition holds for; never this one, and never process 1.
    static func all(where isWanted: (borrowing ProcessHandle) -> Bool) -> [ProcessInstance] {
        var chosen: [ProcessInstance] = []
        for pid in (try? ProcessList.pids()) ?? [] where pid != 1 && pid != Own.pid {
            guard let handle = try? ProcessHandle(pid: pid), isWanted(handle) else { continue }
            chosen.append(handle.instance)
        }
        return chosen
    }
}
