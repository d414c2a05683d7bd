//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ProcessInspection
import Testing

/// Settings that a test cannot change on the machine it runs on: the decision, with the settings as inputs.
@Suite struct KernelLimitsTests {
    private static let mayTrace: UInt64 = 1 << 19

    @Test(
        arguments: [
            (nil, 0, Patchability.Obstacle.noPrivilege), (0, 0, .noPrivilege), (1, 0, .ptraceScope),
            (2, 0, .ptraceScope),
            (1, mayTrace, .noPrivilege), (2, mayTrace, .noPrivilege), (3, 0, .ptraceScope), (3, mayTrace, .ptraceScope),
        ] as [(Int?, UInt64, Patchability.Obstacle)])
    func yamaScopes(scope: Int?, capabilities: UInt64, expected: Patchability.Obstacle) {
        let limits = KernelLimits(
            ptraceScope: scope, lockdown: nil, memoryForceOverride: nil, capabilities: capabilities)
        let reason = limits.denial(of: 77, user: 1000)
        #expect(reason.obstacle == expected)
        #expect(reason.text.contains("77") && !reason.remedy.isEmpty)
    }

    /// Nobody may in scope 3, so the remedy must not be to become root.
    @Test func remediesFitTheScope() {
        func remedy(_ scope: Int) -> String {
            KernelLimits(ptraceScope: scope, lockdown: nil, memoryForceOverride: nil, capabilities: 0)
                .denial(of: 77, user: 1000).remedy
        }
        #expect(remedy(1).contains("root"))
        #expect(!remedy(3).contains("root"))
    }

    @Test(arguments: ["none", "integrity", "confidentiality"], ["always", "ptrace", "never"])
    func lockdownAndForceOverrideChangeNothing(lockdown: String, override: String) {
        let limits = KernelLimits(
            ptraceScope: 0, lockdown: lockdown, memoryForceOverride: override, capabilities: Self.mayTrace)
        #expect(limits.denial(of: 77, user: 1000).obstacle == .noPrivilege)
    }
}
