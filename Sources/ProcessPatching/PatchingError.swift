//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import PatchPlan
import ProcessControl
import ProcessInspection

/// Why one attempt ended.
enum PatchingError: Error {
    /// Nothing was changed, and nothing will be.
    case refused(Refusal)
    /// Nothing was changed, threads are in the way.
    case busy([BusyThread])
    /// Nothing was changed; the same attempt may succeed later.
    case later(Refusal)
    /// Something was changed and could not be brought to an end.
    case failed(String)

    /// What stands in the way of looking at a process.
    init(_ error: InspectionError, pid: Int32) {
        let reason: Refusal.Reason
        let remedy: String
        switch error.code {
        case .exited:
            reason = .processEnded
            remedy = "Nothing is left to do: the process is gone."
        case .reused:
            reason = .otherInstance
            remedy = "Look up the process again."
        case .noPrivilege:
            reason = .noPermission
            remedy = "Run as root, or as the process's user where ptrace allows it."
        case .unreadable, .malformed, .system:
            reason = .unsupportedProcess
            remedy = "Restart the process with the fixed package."
        }
        self = .refused(Refusal(reason, "Process \(pid): \(error.reason)", remedy: remedy))
    }

    /// What stands in the way of controlling a process.
    init(_ error: ControlError, pid: Int32) {
        let sentence = "Process \(pid): \(error.reason)"
        switch error.code {
        case .exited:
            self = .refused(Refusal(.processEnded, sentence, remedy: "Nothing is left to do: the process is gone."))
        case .reused:
            self = .refused(Refusal(.otherInstance, sentence, remedy: "Look up the process again."))
        case .tracedByOther:
            self = .refused(Refusal(.beingTraced, sentence, remedy: "End the debugger or tracer and try again."))
        case .noPrivilege:
            self = .refused(
                Refusal(
                    .noPermission, sentence, remedy: "Run as root, or as the process's user where ptrace allows it."))
        case .compat32Bit, .noSystemCallInstruction, .system, .misuse, .systemCallFailed, .unreadable:
            self = .refused(
                Refusal(.unsupportedProcess, sentence, remedy: "Restart the process with the fixed package."))
        case .seccompFilter:
            self = .refused(
                Refusal(.systemCallFilter, sentence, remedy: "Restart the process with the fixed package."))
        case .noRoom:
            self = .refused(
                Refusal(.noRoomWithinReach, sentence, remedy: "Restart the process with the fixed package."))
        case .unwritable, .notWritten:
            self = .refused(
                Refusal(
                    .memoryWriteForbidden, sentence,
                    remedy: "Allow writing to the memory of traced processes (proc_mem.force_override=ptrace)."))
        case .stopTimedOut, .vfork, .noBorrowableThread:
            self = .later(Refusal(.unsupportedProcess, sentence, remedy: "Try again later."))
        }
    }

    /// What is in the way according to the inspection.
    init(_ reason: Patchability.Reason, pid: Int32) {
        let named: Refusal.Reason
        switch reason.obstacle {
        case .exited, .zombie: named = .processEnded
        case .kernelThread, .compat32Bit, .otherMachine: named = .unsupportedProcess
        case .tracedByOther: named = .beingTraced
        case .noPrivilege: named = .noPermission
        case .ptraceScope: named = .ptraceScope
        case .memoryWriteForbidden: named = .memoryWriteForbidden
        case .seccompStrict: named = .systemCallFilter
        case .ownProcess: named = .protectedProcess
        }
        self = .refused(Refusal(named, "Process \(pid): \(reason.text)", remedy: reason.remedy))
    }
}

/// Runs what may throw about looking at a process.
func inspecting<T: ~Copyable>(_ pid: Int32, _ body: () throws(InspectionError) -> T) throws(PatchingError) -> T {
    do { return try body() } catch { throw PatchingError(error, pid: pid) }
}

/// Runs what may throw about controlling a process.
func controlling<T: ~Copyable>(_ pid: Int32, _ body: () throws(ControlError) -> T) throws(PatchingError) -> T {
    do { return try body() } catch { throw PatchingError(error, pid: pid) }
}

/// Runs what may refuse.
func planning<T>(_ body: () throws(Refusal) -> T) throws(PatchingError) -> T {
    do { return try body() } catch { throw .refused(error) }
}
