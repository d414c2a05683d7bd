//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import ClientSessions
import Glibc

/// The servers, their sessions and their load, while they run.
struct Stage {
    /// nginx and the TLS service.
    let servers: Servers
    /// Sessions to the TLS service.
    let serviceSessions: SessionDriver
    /// Sessions to nginx.
    let nginxSessions: SessionDriver
    /// wrk.
    let load: Load

    private let runner: Runner

    /// Starts everything.
    init(runner: Runner, options: DemoOptions, libraries: String, nginx: String) throws(DemoError) {
        self.runner = runner
        servers = try Servers(
            runner: runner, libraries: libraries, executable: nginx, workers: options.workers, tools: options.tools)
        do throws(ClientError) {
            serviceSessions = try SessionDriver(
                port: servers.servicePort, certificate: servers.certificate, exchange: .lines)
            nginxSessions = try SessionDriver(
                port: servers.nginxPort, certificate: servers.certificate, exchange: .http(body: Servers.body))
            try serviceSessions.start(sessions: options.sessions)
            try nginxSessions.start(sessions: options.sessions)
        } catch {
            throw DemoError(code: .failed, reason: error.reason)
        }
        load = try Load(runner: runner, port: servers.nginxPort)
    }

    /// Asks the service on one of its open sessions.
    func ask(_ command: String) -> String {
        serviceSessions.ask(command, everywhere: false).first ?? "no answer"
    }

    /// Commands by which other clients reach the servers.
    var otherClients: [(name: String, command: [String])] {
        [
            (
                "curl, by nginx,",
                [
                    "curl", "--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "20", "--cacert",
                    servers.certificate, "https://localhost:\(servers.nginxPort)/",
                ]
            ),
            (
                "openssl s_client, by the TLS service,",
                [
                    "openssl", "s_client", "-connect", "127.0.0.1:\(servers.servicePort)", "-tls1_3", "-CAfile",
                    servers.certificate, "-verify_return_error",
                ]
            ),
        ]
    }

    /// How many requests each session of each server has made at least.
    var rounds: [Int] { [serviceSessions, nginxSessions].map { $0.counts.fewestOfASession } }

    /// Waits until every session was used twice more; the first may have been under way.
    func waitForRounds(after before: [Int]) throws(DemoError) {
        for _ in 0..<3000 {
            if zip(rounds, before).allSatisfy({ $0 >= $1 + 2 }) { return }
            // A broken session never catches up; the checks tell of it.
            if [serviceSessions, nginxSessions].contains(where: { $0.counts.failed > 0 }) { return }
            usleep(10_000)
        }
        throw DemoError(code: .failed, reason: "the sessions are not served any more")
    }

    /// Whether both servers run.
    var isRunning: Bool { runner.children.isRunning(servers.service) && runner.children.isRunning(servers.nginx) }

    /// Ends sessions, load and servers.
    func end() {
        serviceSessions.stop()
        nginxSessions.stop()
        for child in [servers.nginx, servers.service] { runner.children.end(child) }
    }
}
