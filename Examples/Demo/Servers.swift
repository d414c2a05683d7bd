//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import FoundationEssentials
import Glibc

/// The servers that are patched while they run: Debian's nginx and the example's TLS service, both on 127.0.0.1, both
/// with the vulnerable libraries.
struct Servers {
    /// What nginx answers to every request.
    static let body = String(repeating: "swifts replace their feathers on the wing\n", count: 24)

    /// nginx's master process.
    let nginx: ChildProcess
    /// nginx's processes: the master and its workers.
    let nginxProcesses: [pid_t]
    /// nginx's port.
    let nginxPort: UInt16
    /// The TLS service.
    let service: ChildProcess
    /// The TLS service's port.
    let servicePort: UInt16
    /// PEM file with the certificate of both.
    let certificate: String

    /// All processes that are patched.
    var processes: [pid_t] { nginxProcesses + [service.pid] }

    /// Starts both.
    /// - Parameters:
    ///   - libraries: directory with the vulnerable libssl and libcrypto.
    ///   - executable: nginx.
    ///   - tools: directory with `TLSService`.
    init(runner: Runner, libraries: String, executable: String, workers: Int, tools: String) throws(DemoError) {
        let place = runner.workplace
        certificate = place.path("certificate.pem")
        let key = place.path("key.pem")
        _ = try runner.succeed(
            [
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost", "-addext",
                "subjectAltName=DNS:localhost,IP:127.0.0.1",
            ], step: "set-up")
        let environment = ["LD_LIBRARY_PATH": libraries]

        service = try runner.children.startServer(
            [tools + "/TLSService", "--certificate", certificate, "--key", key], environment: environment,
            output: place.path("service.out"), errors: place.path("service.err"))
        servicePort = try Self.await("the TLS service", runner, service) {
            let words = place.read("service.out").split(separator: "\n").first?.split(separator: " ") ?? []
            return words.count == 2 ? UInt16(words[1]) : nil
        }

        nginxPort = try Self.freePort()
        let port = nginxPort
        let configuration = try place.write(
            Self.configuration(place, port: port, workers: workers, certificate: certificate, key: key),
            to: "nginx.conf")
        let master = try runner.children.startServer(
            [executable, "-e", place.path("nginx.err"), "-p", place.directory, "-c", configuration],
            environment: environment, output: place.path("nginx.out"), errors: place.path("nginx.out"))
        nginx = master
        nginxProcesses = try Self.await("nginx", runner, master) {
            let children = Self.children(of: master.pid)
            return children.count == workers && Self.accepts(port) ? [master.pid] + children : nil
        }
    }

    private static func configuration(
        _ place: Workplace, port: UInt16, workers: Int, certificate: String, key: String
    ) -> String {
        let body = body.replacing("\n", with: "\\n")
        return """
            daemon off;
            master_process on;
            worker_processes \(workers);
            pid \(place.path("nginx.pid"));
            error_log \(place.path("nginx.err")) warn;
            \(getuid() == 0 ? "user www-data;" : "")
            events { worker_connections 4096; }
            http {
                access_log off;
                client_body_temp_path \(place.path("body"));
                proxy_temp_path \(place.path("proxy"));
                fastcgi_temp_path \(place.path("fastcgi"));
                uwsgi_temp_path \(place.path("uwsgi"));
                scgi_temp_path \(place.path("scgi"));
                keepalive_timeout 1h;
                keepalive_requests 1000000000;
                keepalive_time 24h;
                default_type text/plain;
                server {
                    listen 127.0.0.1:\(port) ssl reuseport;
                    ssl_protocols TLSv1.2 TLSv1.3;
                    ssl_certificate \(certificate);
                    ssl_certificate_key \(key);
                    location / { return 200 "\(body)"; }
                }
            }
            """
    }

    private static func `await`<T>(
        _ name: String, _ runner: Runner, _ child: ChildProcess, _ attempt: () -> T?
    ) throws(DemoError) -> T {
        for _ in 0..<1000 {
            if let value = attempt() { return value }
            guard runner.children.isRunning(child) else { break }
            usleep(10_000)
        }
        let said = ["service.err", "nginx.out", "nginx.err"].map { runner.workplace.read($0) }.joined()
        throw DemoError(code: .failed, reason: "\(name) did not start: \(said.prefix(400))")
    }

    /// Processes whose parent is `parent` (proc(5), /proc/PID/task/TID/children).
    private static func children(of parent: pid_t) -> [pid_t] {
        guard let data = try? Data(contentsOf: URL(filePath: "/proc/\(parent)/task/\(parent)/children")) else {
            return []
        }
        return String(decoding: data, as: UTF8.self).split(separator: " ").compactMap { pid_t($0) }
    }

    private static func withAddress<R>(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
    }

    private static func accepts(_ port: UInt16) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        return withAddress(port) { connect(descriptor, $0, $1) == 0 }
    }

    private static func freePort() throws(DemoError) -> UInt16 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        var bound = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let found =
            withAddress(0) { bind(descriptor, $0, $1) == 0 }
            && withUnsafeMutablePointer(to: &bound) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) == 0 }
            }
        guard found else { throw DemoError(code: .system, reason: "no port of 127.0.0.1 is free") }
        return UInt16(bigEndian: bound.sin_port)
    }
}
