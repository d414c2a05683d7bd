//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Foundation
import TestSupport
import Testing

/// Every fix of openssl that can be applied, applied and undone in a process that uses the vulnerable library all the
/// time: what legal uses give stays the same, and hostile inputs show the hole, the cure, and the hole again.
///
/// Nothing here asks the tool whether it was successful: the process is asked. What the tool says is held against that.
@Suite(.serialized) struct LiveFixTests {
    @Test func everyFixHasACase() throws {
        let built = try BuiltFixes.shared.get()
        #expect(built.withoutCase.isEmpty)
        #expect(built.failed.isEmpty)
        let exercised = Set(built.groups.values.joined().map(\.fix.identifier))
        // What verdict a recipe gets is held against the expected one by OpenSSLFixTests.
        let cases = Set(LiveFix.all.map(\.identifier))
        #expect(cases == exercised.union(built.others.keys.filter { cases.contains($0) }))
        print("not exercised:", built.others.sorted { $0.key < $1.key }.map { "\($0.key) (\($0.value))" })
    }

    @Test func oneByOne() async throws {
        for group in try Self.groups() {
            let victim = try CaseVictim(libraries: try await BuiltFixes.libraries(of: group))
            defer { victim.end() }
            #expect(try victim.mappedPath(of: "libcrypto.so.3").contains(group[0].target))
            for built in group {
                let before = try victim.progress()
                try expect(built.fix, built.fix.vulnerable, in: victim, "before")
                let applied = try Tool(victim).apply([built])
                try Tool(victim).expectApplied([built])
                try expect(built.fix, built.fix.fixed, in: victim, "applied")
                let undone = try Tool(victim).undo(built)
                try expect(built.fix, built.fix.vulnerable, in: victim, "undone")
                try Tool(victim).expectNothingApplied(of: [built])
                try expectAlive(victim, since: before)
                print(
                    "\(built.fix.identifier) \(built.verdict): \(built.fix.vulnerable), \(built.fix.fixed),",
                    "\(built.fix.vulnerable); stops \(applied.stops) and \(undone.stops),",
                    "longest \(applied.longest) and \(undone.longest) us")
            }
        }
    }

    @Test func allOfATarget() async throws {
        for all in try Self.groups() {
            let group = Self.compatible(all)
            let victim = try CaseVictim(libraries: try await BuiltFixes.libraries(of: group))
            defer { victim.end() }
            let before = try victim.progress()
            // One after the other; undone in another order: each third, until none is left.
            for built in group { try Tool(victim).apply([built]) }
            try Tool(victim).expectApplied(group)
            try expectAll(group, in: victim, "all applied") { $0.fixed }
            var rest = group
            var position = 0
            while !rest.isEmpty {
                position = (position + 2) % rest.count
                let built = rest.remove(at: position)
                try Tool(victim).undo(built)
                // What is undone is open again, and no other is.
                try expect(built.fix, built.fix.vulnerable, in: victim, "undone among others")
                if let other = rest.last { try expect(other.fix, other.fix.fixed, in: victim, "still applied") }
            }
            try expectAll(group, in: victim, "all undone") { $0.vulnerable }
            // All in one transaction.
            let applied = try Tool(victim).apply(group)
            try Tool(victim).expectApplied(group)
            try expectAll(group, in: victim, "applied at once") { $0.fixed }
            try Tool(victim).undo(group[0])
            try expectAll(group, in: victim, "undone at once") { $0.vulnerable }
            try Tool(victim).expectNothingApplied(of: group)
            try expectAlive(victim, since: before)
            print("\(group.count) of \(all.count) at once: longest stop \(applied.longest) us")
        }
    }

    /// A fix and its legal use would be worth nothing if the functions that the live patch replaces did not run.
    @Test func replacedFunctionsRun() async throws {
        for group in try Self.groups() {
            let run = try FunctionsRun(of: group, libraries: try await BuiltFixes.libraries(of: group))
            #expect(run.missing.isEmpty, "\(run.output)")
        }
    }

    // MARK: -

    /// The live patches of each target; there is at least one.
    private static func groups() throws -> [[BuiltFix]] {
        let groups = try BuiltFixes.shared.get().groups.sorted { $0.key < $1.key }.map(\.value)
        #expect(!groups.isEmpty)
        return groups
    }

    /// Those of a group that replace no function twice.
    private static func compatible(_ group: [BuiltFix]) -> [BuiltFix] {
        var taken: Set<String> = []
        return group.filter { built in
            guard taken.isDisjoint(with: built.functions.keys) else { return false }
            taken.formUnion(built.functions.keys)
            return true
        }
    }

    private func expect(_ fix: LiveFix, _ outcome: String, in victim: CaseVictim, _ when: String) throws {
        #expect(try victim.legal(fix.identifier) == "good", "\(fix.identifier) \(when)")
        #expect(try victim.hostile(fix.identifier) == outcome, "\(fix.identifier) \(when)")
    }

    private func expectAll(
        _ group: [BuiltFix], in victim: CaseVictim, _ when: String, outcome: (LiveFix) -> String
    ) throws {
        for built in group where !built.fix.isSlow { try expect(built.fix, outcome(built.fix), in: victim, when) }
    }

    /// All threads went on, and none got another result than it must.
    private func expectAlive(_ victim: CaseVictim, since before: CaseVictim.Progress) throws {
        let deadline = Date(timeIntervalSinceNow: 60)
        var now = try victim.progress()
        while zip(before.rounds, now.rounds).contains(where: { $0 >= $1 }), Date() < deadline {
            usleep(10_000)
            now = try victim.progress()
        }
        #expect(now.rounds.count == 4)
        #expect(zip(before.rounds, now.rounds).allSatisfy { $0 < $1 }, "\(before.rounds) \(now.rounds)")
        #expect(now.wrong == "0")
    }
}

/// `moult` with one victim.
private struct Tool {
    /// What a change took.
    struct Cost {
        /// How often the process was stopped.
        var stops: Int
        /// Longest stop in microseconds.
        var longest: Int
    }

    let pid: String

    init(_ victim: CaseVictim) { pid = "\(victim.pid)" }

    @discardableResult
    func apply(_ patches: [BuiltFix]) throws -> Cost {
        try change(["apply", "--pid", pid, "--timeout", "60"] + patches.map(\.file))
    }

    /// Verify and status find these, and memory is what it must be.
    func expectApplied(_ patches: [BuiltFix]) throws {
        let files = patches.map(\.file)
        let verified = try ToolRun(["verify", "--pid", pid] + files)
        #expect(verified.code == 0, "\(verified.document) \(verified.messages)")
        let status = try ToolRun(["status", "--pid", pid] + files)
        #expect(status.code == 0, "\(status.document["result"] ?? "")")
    }

    @discardableResult
    func undo(_ patch: BuiltFix) throws -> Cost {
        try change(["undo", "--pid", pid, "--timeout", "60", patch.fix.identifier])
    }

    /// Neither status nor verify find any of these.
    func expectNothingApplied(of patches: [BuiltFix]) throws {
        let status = try ToolRun(["status", "--pid", pid] + patches.map(\.file))
        #expect(status.code == 10, "\(status.document["result"] ?? "")")
        for patch in status.patches { #expect(patch["applied"] as? Int == 0, "\(patch)") }
        // Nothing is there to be verified, which is no success.
        let verified = try ToolRun(["verify", "--pid", pid])
        #expect(verified.code == 1, "\(verified.document) \(verified.messages)")
        #expect((verified.process["transactions"] as? [Any])?.isEmpty == true)
        #expect((verified.process["differences"] as? [Any])?.isEmpty == true)
    }

    private func change(_ arguments: [String]) throws -> Cost {
        let run = try ToolRun(arguments)
        #expect(run.code == 0, "\(arguments): \(run.document) \(run.messages)")
        let longest = run.process["longest-stop-ns"] as? Int ?? -1
        return Cost(stops: run.process["stops"] as? Int ?? -1, longest: longest / 1000)
    }
}
