//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ClientSessions
import Glibc

/// The demo from beginning to end, step by step.
struct Story {
    /// What was asked for.
    let options: DemoOptions
    /// Runs commands and counts their CPU time.
    let runner: Runner
    /// What was expected and found.
    var checks = Checks()
    /// What is told at the end.
    var report = Report()

    private let tool: Tool

    /// Prepares the demo.
    init(options: DemoOptions, runner: Runner) throws(DemoError) {
        self.options = options
        self.runner = runner
        tool = try Tool(runner: runner, directory: options.tools)
    }

    /// Does everything.
    mutating func tell() throws(DemoError) {
        let patches = try makePatches()
        if options.breakPatch { try SpoiledPatch.spoil(patches) }
        Interruption.limit(seconds: options.limit)
        let stage = try setStage(patches)
        defer { stage.end() }

        say("Before: the holes are open")
        examine(stage, patches, fixed: false, when: "before")
        let idle = try gap(stage) { () throws(DemoError) in usleep(500_000) }
        print("  longest gap seen from inside in 0.5 s without a patch: \(idle.text)")

        try change(stage, patches, .apply, step: "apply")
        examine(stage, patches, fixed: true, when: "applied")
        try verify(stage, patches, applied: true)

        try change(stage, patches, .undo, step: "undo")
        examine(stage, patches, fixed: false, when: "undone")
        try verify(stage, patches, applied: false)

        try change(stage, patches, .apply, step: "apply again")
        examine(stage, patches, fixed: true, when: "applied again")
        try verify(stage, patches, applied: true)
        try serveOthers(stage, when: "applied again")

        try close(stage)
    }

    private func say(_ text: String) { print("\n== \(text)") }

    // MARK: - Before

    private mutating func makePatches() throws(DemoError) -> [BuiltPatch] {
        let directory = runner.workplace.path("patches")
        _ = try runner.succeed(["mkdir", directory], step: "build")
        if let given = options.patches {
            say("Taking the live patches in \(given)")
            let files = Fix.all.map { "\(given)/\($0.identifier).moult" }
            _ = try runner.succeed(["cp"] + files + [directory], step: "build")
        } else {
            say("Building live patches from source fixes and Debian's own binary")
            let recipes = Fix.all.map { recipe($0.identifier) }
            let result = try tool.run(["build", "--output", directory] + recipes, step: "build", showErrors: true)
            checks.expect("moult build exits with 0", result.code == 0, found: "\(result.code)")
            let picked = Set(result.document["patches"].elements.compactMap { $0["picked"].string })
            for choice in picked.sorted() { print("  picked: \(choice)") }
            try refuse()
        }
        var patches: [BuiltPatch] = []
        for fix in Fix.all {
            let patch = try BuiltPatch(fix: fix, directory: directory, tool: tool)
            print("  \(patch.summary)")
            patches.append(patch)
        }
        checks.expect(
            "every verdict allows applying", patches.allSatisfy { ["automatic", "quiescent"].contains($0.verdict) },
            found: patches.map(\.verdict).joined(separator: ", "))
        let target = Set(patches.map(\.buildID))
        checks.expect(
            "all live patches are for one build", target.count == 1, found: target.sorted().joined(separator: ", "))
        return patches
    }

    private func recipe(_ identifier: String) -> String {
        "\(options.recipes)/bookworm/openssl/\(identifier).yaml"
    }

    /// The other half of CVE-2026-75803 changes a table of functions that running processes have copied: a live patch
    /// of it would close the hole and break a legal use. It must be refused.
    private mutating func refuse() throws(DemoError) {
        let arguments = ["build", "--dry-run", recipe("CVE-2026-75803-chacha")]
        let result = try tool.run(arguments, step: "build", showErrors: true)
        let verdict = result.document["verdict"].string ?? "none"
        checks.expect(
            "CVE-2026-75803, the half that is not safe, is refused", result.code == 2 && verdict == "review",
            found: "exit code \(result.code), verdict \(verdict)")
        for reason in result.document["patches"].elements.flatMap({ $0["reasons"].elements }) {
            if let message = reason["message"].string { print("    because: \(message)") }
        }
    }

    private mutating func setStage(_ patches: [BuiltPatch]) throws(DemoError) -> Stage {
        say("Starting servers with the vulnerable library, beside the system's own")
        let version = patches.first?.packageVersion ?? ""
        let packages = Packages(runner: runner, cache: options.cache)
        let libraries = try packages.libraries(version: version)
        let nginx = try packages.nginx()
        print("  picked: libssl3 \(version), nginx \(nginx.version)")
        let stage = try Stage(runner: runner, options: options, libraries: libraries, nginx: nginx.executable)
        report.processes = stage.servers.processes.count
        report.packageVersion = version
        print("  nginx: port \(stage.servers.nginxPort), \(options.workers) workers; wrk loads it all the time")
        print("  TLS service: port \(stage.servers.servicePort), \(stage.ask("threads")) threads")
        print("  TLS sessions opened: \(options.sessions) on each, all used all the time")
        try serveOthers(stage, when: "before")
        return stage
    }

    private mutating func serveOthers(_ stage: Stage, when: String) throws(DemoError) {
        for (name, command) in stage.otherClients {
            let result = try runner.run(command, step: "other clients")
            checks.expect("\(when): \(name) is served", result.code == 0, found: "exit code \(result.code)")
        }
    }

    // MARK: - What clients see

    private mutating func examine(_ stage: Stage, _ patches: [BuiltPatch], fixed: Bool, when: String) {
        for (index, patch) in patches.enumerated() {
            let fix = patch.fix
            let expected = fixed ? fix.fixed : fix.vulnerable
            let answers = stage.serviceSessions.ask(fix.command, everywhere: fix.everywhere)
            let count = fix.everywhere ? options.sessions : 1
            let found = Self.summary(answers)
            checks.expect(
                "\(when): \(fix.identifier): '\(expected)' on \(count) of the open sessions",
                answers.count == count && answers.allSatisfy { $0 == expected }, found: found)
            report.seen(patch, at: index, found)
            let legal = stage.ask(fix.legalUse)
            checks.expect("\(when): \(fix.identifier): legal use", legal == "good", found: legal)
        }
        let service = stage.serviceSessions.counts
        let nginx = stage.nginxSessions.counts
        checks.expect(
            "\(when): sessions kept", service.kept == options.sessions && nginx.kept == options.sessions,
            found: "\(service.kept) and \(nginx.kept) of \(options.sessions) each")
    }

    private static func summary(_ answers: [String]) -> String {
        var counts: [String: Int] = [:]
        for answer in answers { counts[answer, default: 0] += 1 }
        if counts.isEmpty { return "no answer" }
        return counts.sorted { $0.key < $1.key }.map { "\($0.value) x '\($0.key)'" }.joined(separator: ", ")
    }

    // MARK: - Changes

    private enum Change { case apply, undo }

    private mutating func change(
        _ stage: Stage, _ patches: [BuiltPatch], _ change: Change, step: String
    ) throws(DemoError) {
        say(change == .apply ? "Applying, with the servers under load" : "Undoing, with the servers under load")
        let before = stage.rounds
        let processes = stage.servers.processes.flatMap { ["--pid", String($0)] }
        let tool = tool
        var documents: [JSON] = []
        var codes: [Int32] = []
        let commands =
            change == .apply
            ? [["apply"] + processes + patches.map(\.file)]
            : BuiltPatch.undoIdentifiers(patches).map { ["undo"] + processes + [$0] }
        let gap = try gap(stage) { () throws(DemoError) in
            for command in commands {
                let result = try tool.run(command, step: step)
                codes.append(result.code)
                documents.append(result.document)
            }
        }
        checks.expect(
            "\(step): moult exits with 0", codes.allSatisfy { $0 == 0 },
            found: codes.map(String.init).joined(separator: ", "))
        let stops = documents.flatMap { StopReport.read($0) }
        let pids = Set(stops.map(\.pid))
        checks.expect(
            "\(step): every process is done", pids == Set(stage.servers.processes.map(Int.init)),
            found: "\(pids.count) of \(stage.servers.processes.count)")
        checks.expect(
            "\(step): the TLS service stood still for less than half a second", gap.withoutWaiting < 500_000_000,
            found: gap.text)
        report.changed(step, stops: stops, service: Int(stage.servers.service.pid), gap: gap)
        // Both drivers have gone round at least once more since, so every session was used again.
        try stage.waitForRounds(after: before)
    }

    private mutating func verify(_ stage: Stage, _ patches: [BuiltPatch], applied: Bool) throws(DemoError) {
        let processes = stage.servers.processes.flatMap { ["--pid", String($0)] }
        if applied {
            let result = try tool.run(["verify"] + processes, step: "verify")
            checks.expect(
                "moult verify: memory is what it must be", result.code == 0, found: "exit code \(result.code)")
        }
        let result = try tool.run(["status"] + processes + patches.map(\.file), step: "verify")
        let expected: Int32 = applied ? 0 : 10
        checks.expect(
            "moult status: \(applied ? "newest applied" : "nothing applied")", result.code == expected,
            found: "exit code \(result.code)")
    }

    private func gap(_ stage: Stage, during body: () throws(DemoError) -> Void) throws(DemoError) -> Gap {
        let answer = stage.ask("gap-start 20000")
        guard answer == "started" else {
            throw DemoError(code: .failed, reason: "the service's meter did not start: \(answer)")
        }
        try body()
        guard let gap = Gap(stage.ask("gap")) else {
            throw DemoError(code: .failed, reason: "the service's meter gave no figures")
        }
        return gap
    }

    // MARK: - The end

    private mutating func close(_ stage: Stage) throws(DemoError) {
        say("What clients saw, from first to last")
        checks.expect("wrk runs to the end", stage.load.isRunning, found: stage.load.isRunning ? "yes" : "no")
        checks.expect(
            "the servers run to the end", stage.isRunning, found: stage.isRunning ? "yes" : "no")
        let wrk = try stage.load.end()
        stage.serviceSessions.stop()
        stage.nginxSessions.stop()
        let service = stage.serviceSessions.counts
        let nginx = stage.nginxSessions.counts
        for (name, counts) in [("TLS service", service), ("nginx", nginx)] {
            checks.expect(
                "\(name): every session is the one that was opened", counts.kept == options.sessions,
                found: "\(counts.kept) of \(counts.opened)")
            checks.expect(
                "\(name): no request failed", counts.failed == 0,
                found:
                    "\(counts.failed) of \(counts.answered + counts.failed)\(counts.firstFailure.map { " (\($0))" } ?? "")"
            )
            checks.expect(
                "\(name): every session was used", counts.fewestOfASession > 0,
                found: "at least \(counts.fewestOfASession) requests each")
        }
        checks.expect("wrk made requests", wrk.requests > 0, found: "\(wrk.requests)")
        checks.expect("wrk: no request failed", wrk.failed == 0, found: "\(wrk.failed)")
        report.sessionsKept = service.kept + nginx.kept
        report.sessionsOpened = service.opened + nginx.opened
        report.requests = service.answered + nginx.answered + wrk.requests
        report.failed = service.failed + nginx.failed + wrk.failed
        report.longestRound = max(service.longestRound, nginx.longestRound)
        report.steps = runner.steps
    }
}
