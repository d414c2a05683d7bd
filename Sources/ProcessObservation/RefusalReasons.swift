//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

package import PatchPlan
package import ProcessInspection

// One vocabulary for people and programs: what `targets` says of a process is what `apply` would refuse it for.

extension Patchability.Reason {
    /// The obstacle as the reason that `apply` gives.
    package var refusal: Refusal {
        let reason: Refusal.Reason =
            switch obstacle {
            case .exited, .zombie: .processEnded
            case .kernelThread, .compat32Bit, .otherMachine: .unsupportedProcess
            case .tracedByOther: .beingTraced
            case .noPrivilege: .noPermission
            case .ptraceScope: .ptraceScope
            case .memoryWriteForbidden: .memoryWriteForbidden
            case .seccompStrict: .systemCallFilter
            case .ownProcess: .protectedProcess
            }
        return Refusal(reason, text, remedy: remedy)
    }
}

extension UnobservedProcess {
    /// The error as the reason that `apply` gives.
    package var refusal: Refusal {
        switch error.code {
        case .exited:
            Refusal(.noSuchProcess, error.reason, remedy: "Look up the process again.")
        case .reused:
            Refusal(.otherInstance, error.reason, remedy: "Look up the process again.")
        case .noPrivilege:
            Refusal(
                .noPermission, error.reason, remedy: "Run as root, or as the process's user where ptrace allows it.")
        case .unreadable, .malformed, .system:
            Refusal(.unsupportedProcess, error.reason, remedy: "Restart the process with the fixed package.")
        }
    }
}
