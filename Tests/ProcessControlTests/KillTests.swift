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
    @Test(arguments: ["a", "e", "n", "F", "r", "U", "aSeEnpFr"])
    func everySystemCallOfInjectAndStop(kinds: String) throws {
        let harness = try KillHarness()
        let probe = try KillHarness.executable("moult-control-probe")
        var victim = try Victim(kinds)
        var interrupted: UInt64 = 0
        let result = try harness.afterEverySystemCall {
            // A process of its own for each kill: what an earlier one left would spare the tool some of its work.
            victim = try Victim(kinds)
            return [probe, "\(victim.pid)", "inject"]
        } check: { count, systemCall in
            let place: Comment = "after system call \(systemCall), number \(count)"
            try #require(victim.isAlive, place)
            #expect(victim.makesProgress(), place)
            #expect(!victim.states.contains("t") && !victim.states.contains("T"), place)
            let next = try Command.run(probe, ["\(victim.pid)", "inject"])
            #expect(next.output.hasSuffix("done\n"), "\(place): \(next.output)")
            #expect(victim.makesProgress(), place)
            #expect(victim.corrupt == 0, place)
            #expect(victim.unexpected == 0, "\(place): \(victim.lastWrong)")
            interrupted += victim.interrupted
            victim.end()
        }
        guard case .exited(let status, let systemCalls) = result.last else {
            Issue.record("the last run was killed")
            return
        }
        #expect(status == 0)
        // The last run made no more than were tried: none was skipped.
        #expect(systemCalls <= result.kills)
        // The borrow, its mapping and the stop were all among them.
        #expect(result.kills >= 60)
        print("kill test \(kinds): \(result.kills) kills, EINTR seen: \(interrupted)")
    }
}
