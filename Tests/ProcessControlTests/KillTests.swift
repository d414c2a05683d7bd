//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ProcessControl
import ProcessInspection
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// The tool is killed after every single one of its system calls, from the first attach on: the process lives, every
/// thread goes round, registers and vectors are as they were, and the next run of the tool completes.
@Suite(.serialized) struct KillTests {
    @Test(arguments: ["S", "a", "e", "n", "p", "F", "r", "aSeEnpFr"])
    func everySystemCallOfInjectAndStop(kinds: String) throws {
        let harness = try KillHarness()
        let probe = try KillHarness.executable("moult-control-probe")
        var victim = try Victim(kinds)
        var isFresh = true
        let result = try harness.afterEverySystemCall {
            // A process of its own for some kills, so that the first map of all is met; the other kills find what the
            // ones before left.
            if !isFresh, Int.random(in: 0..<3) == 0 {
                victim.end()
                victim = try Victim(kinds)
            }
            isFresh = false
            return [probe, "\(victim.pid)", "inject"]
        } check: { count, systemCall in
            try #require(victim.isAlive, "died after system call \(systemCall), number \(count)")
            #expect(victim.makesProgress(), "stuck after system call \(systemCall), number \(count): \(victim.states)")
            #expect(victim.corrupt == 0, "corrupt after system call \(systemCall), number \(count)")
            #expect(victim.unexpected == 0, "\(victim.lastWrong) after system call \(systemCall), number \(count)")
            #expect(!victim.states.contains("t") && !victim.states.contains("T"))
        }
        guard case .exited(let status, let systemCalls) = result.last else {
            Issue.record("the last run was killed")
            return
        }
        #expect(status == 0)
        #expect(result.kills >= 40 && systemCalls <= result.kills + 20)
        // And a run in peace.
        let last = try Command.run(probe, ["\(victim.pid)", "inject", "stop"])
        #expect(last.output.hasSuffix("done\n"), "\(last.output)")
        #expect(victim.makesProgress())
        print("kill test \(kinds): \(result.kills) kills, EINTR seen in the last victim: \(victim.interrupted)")
    }
}
