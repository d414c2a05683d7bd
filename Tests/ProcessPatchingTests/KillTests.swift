//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import LivePatch
import PatchPlan
import ProcessInspection
import ProcessPatching
import TestSupport
import Testing

/// The applier is killed by SIGKILL after every single one of its system calls, in a transaction of four functions
/// over two objects of which any mixture answers wrongly. None is skipped.
@Suite(.serialized) struct KillTests {
    /// What the process may be found to be after a kill.
    private static let allowed: Set<TransactionState> = [
        .absent, .prepared, .halfGated, .committed, .halfDirect, .applied, .undone,
    ]

    private struct Trial {
        var states: [TransactionState: Int] = [:]
        var kills = 0
        /// Kills that left some data set and others not.
        var mixtures = 0
    }

    @Test(arguments: [(1, true), (8, true), (1, false)])
    func killedAfterEverySystemCall(threads: Int, setsData: Bool) throws {
        let workshop = try Workshop.shared.get()
        let files = [
            try workshop.write(
                setsData
                    ? PatchFiles.dataSetter(workshop)
                    : workshop.patch("one", ["one_run", "one_mix"], requires: ["FIX-two"])),
            try workshop.write(workshop.patch("two", ["two_encode", "two_decode"])),
        ]
        let applier = try KillHarness.executable("moult-applier")
        let harness = try KillHarness(countingFrom: .start)
        let patcher = Patcher(kernel: .current())
        var program = try Halves(threads: threads, workshop: workshop)
        var trial = Trial()

        /// Checks the process, then lets the next run complete it in one direction or the other.
        func check(_ count: Int, completing direction: Direction) throws {
            trial.kills += 1
            let where_ = "after system call \(count), \(threads) threads, \(setsData ? "with" : "without") data"
            let state = try patcher.status(of: program.instance).transactions.first?.state ?? .absent
            try #require(Self.allowed.contains(state), "\(state) \(where_)")
            trial.states[state, default: 0] += 1
            if setsData, try DataOfOne(program, workshop).areMixed {
                trial.mixtures += 1
                try #require(state == .halfGated, "\(state) and a part of the data \(where_)")
            }
            let answers = program.answersNow()
            // Neither old nor new answers: a thread stands still.
            try #require(answers == (!state.isNew, state.isNew), "\(state) and answers \(answers) \(where_)")
            try #require(program.wrongAnswers == 0, "a wrong answer \(where_)")
            let command =
                direction == .apply
                ? ["apply"] + files : ["undo", "FIX-two"]
            let result = try Command.run(applier, command + ["--pid", "\(program.pid)", "--timeout", "30"])
            if direction == .undo, state == .absent {
                try #require(result.status == 2, "\(result.output) \(where_)")
            } else {
                try #require(result.status == 0, "\(result.output) \(where_)")
            }
            let after = program.answersNow()
            try #require(after == (direction == .undo, direction == .apply), "\(after) after completing \(where_)")
            if setsData {
                let data = try DataOfOne(program, workshop)
                try #require(data.areSet == (direction == .apply), "\(data) after completing \(where_)")
                try #require(data.areOriginal == (direction == .undo), "\(data) after completing \(where_)")
            }
            try #require(program.wrongAnswers == 0, "a wrong answer after completing \(where_)")
        }

        /// Brings the process to a state by an undisturbed run.
        func bring(_ command: [String]) throws {
            let result = try Command.run(applier, command + ["--pid", "\(program.pid)", "--timeout", "30"])
            try #require(result.status == 0 || command[0] == "undo" && result.status == 2, "\(result.output)")
        }

        // Apply in a process that has no patch memory yet: a new process for each kill.
        var outcome = try harness.afterEverySystemCall { () -> [String] in
            program = try Halves(threads: threads, workshop: workshop)
            return [applier, "apply"] + files + ["--pid", "\(program.pid)", "--timeout", "30"]
        } check: { count, _ in
            try check(count, completing: count % 2 == 0 ? .apply : .undo)
        }
        let first = outcome.kills
        guard case .exited(0, _) = outcome.last else { throw WorkshopError(text: "apply: \(outcome.last)") }

        // Undo, and apply again into memory that is there: the same process throughout.
        outcome = try harness.afterEverySystemCall { () -> [String] in
            try bring(["apply"] + files)
            return [applier, "undo", "FIX-one", "--pid", "\(program.pid)", "--timeout", "30"]
        } check: { count, _ in
            try check(count, completing: count % 2 == 0 ? .apply : .undo)
        }
        let second = outcome.kills
        guard case .exited(0, _) = outcome.last else { throw WorkshopError(text: "undo: \(outcome.last)") }
        outcome = try harness.afterEverySystemCall { () -> [String] in
            try bring(["undo", "FIX-one"])
            return [applier, "apply"] + files + ["--pid", "\(program.pid)", "--timeout", "30"]
        } check: { count, _ in
            try check(count, completing: count % 2 == 0 ? .undo : .apply)
        }
        print(
            "kills with \(threads) threads, \(trial.mixtures) left a part of the data set: apply \(first), undo \(second), apply again \(outcome.kills); found",
            trial.states.map { "\($0.key.rawValue) \($0.value)" }.sorted().joined(separator: ", "))
        // Two in each of three runs, between the first and the last of three stores.
        #expect(trial.mixtures >= (setsData ? 6 : 0))
        // Every state but the settled ones was met: otherwise the kills missed what they are for.
        for state in [TransactionState.absent, .prepared, .halfGated, .committed, .halfDirect, .applied, .undone] {
            #expect(trial.states[state, default: 0] > 0, "no kill met \(state)")
        }
    }
}
