//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Glibc

/// A real client that loads nginx all the time: wrk(1), over TLS with keep-alive.
struct Load {
    /// What wrk counted.
    struct Summary {
        /// Requests that were answered.
        var requests = 0
        /// Connections and requests that failed, and answers that were not 2xx or 3xx.
        var failed = 0
    }

    private let runner: Runner
    private let child: ChildProcess

    /// Starts wrk against a port of 127.0.0.1. It keeps 16 connections and pauses 2 ms before each request, so that
    /// it loads the server and leaves something of a small machine to everyone else.
    init(runner: Runner, port: UInt16) throws(DemoError) {
        self.runner = runner
        let script = try runner.workplace.write("function delay() return 2 end\n", to: "delay.lua")
        child = try runner.children.startServer(
            ["wrk", "-t1", "-c16", "-d1h", "--timeout", "10s", "-s", script, "https://127.0.0.1:\(port)/"],
            output: runner.workplace.path("wrk.out"), errors: runner.workplace.path("wrk.err"))
    }

    /// Whether it still runs.
    var isRunning: Bool { runner.children.isRunning(child) }

    /// Ends wrk, which then tells what it counted.
    func end() throws(DemoError) -> Summary {
        runner.children.end(child, with: SIGINT)
        return try Self.summary(runner.workplace.read("wrk.out"))
    }

    /// Reads wrk's text.
    static func summary(_ text: String) throws(DemoError) -> Summary {
        var summary: Summary?
        var failed = 0
        for line in text.split(separator: "\n") {
            let words = line.split(whereSeparator: { " ,:".contains($0) })
            if line.contains(" requests in "), let count = words.first.flatMap({ Int($0) }) {
                summary = Summary(requests: count)
            } else if line.contains("Socket errors:") || line.contains("Non-2xx") {
                failed += words.compactMap { Int($0) }.reduce(0, +)
            }
        }
        guard var summary else {
            throw DemoError(code: .failed, reason: "wrk did not say how many requests it made: \(text.prefix(200))")
        }
        summary.failed = failed
        return summary
    }
}
