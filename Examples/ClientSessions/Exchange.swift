//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// What the sessions of a driver say to their server and expect back.
package enum Exchange: Sendable {
    /// Lines of the example's TLS service: `echo TEXT` comes back as `TEXT`.
    case lines
    /// HTTP/1.1 with keep-alive: every answer is `200`, with this body.
    case http(body: String)

    /// The request that is made over and over.
    func request(_ number: Int) -> String {
        switch self {
        case .lines: "echo message \(number)\n"
        case .http: "GET /\(number) HTTP/1.1\r\nHost: localhost\r\n\r\n"
        }
    }

    /// Reads one answer and compares it.
    func check(_ session: inout ClientSession, _ number: Int) throws(ClientError) {
        switch self {
        case .lines:
            let line = try session.receive(until: "\n")
            guard line == "message \(number)" else { throw wrong(line) }
        case .http(let body):
            let head = try session.receive(until: "\r\n\r\n")
            let lines = head.split(separator: "\r\n")
            let length = lines.first { $0.lowercased().hasPrefix("content-length: ") }
                .flatMap { Int($0.dropFirst(16)) }
            guard lines.first == "HTTP/1.1 200 OK", let length, (0...65536).contains(length) else { throw wrong(head) }
            let received = try session.receive(count: length)
            guard received.elementsEqual(body.utf8) else { throw wrong(String(decoding: received, as: UTF8.self)) }
        }
    }

    private func wrong(_ answer: String) -> ClientError {
        ClientError(code: .answer, reason: "wrong answer: \(answer.prefix(80))")
    }
}
