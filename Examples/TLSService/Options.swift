//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// The command line.
struct Options {
    /// File with the certificate, PEM.
    var certificate = ""
    /// File with its private key, PEM.
    var key = ""
    /// Port on 127.0.0.1; 0 lets the kernel choose.
    var port: UInt16 = 0
    /// Threads that serve sessions.
    var threads = 8

    /// Reads `--certificate FILE --key FILE [--port N] [--threads N]`.
    init(_ arguments: [String]) throws(ServiceError) {
        var rest = arguments[...]
        while let name = rest.popFirst() {
            guard let value = rest.popFirst() else { throw Self.usage }
            switch name {
            case "--certificate": certificate = value
            case "--key": key = value
            case "--port": port = try Self.number(value, 0...65535)
            case "--threads": threads = try Self.number(value, 1...256)
            default: throw Self.usage
            }
        }
        if certificate.isEmpty || key.isEmpty { throw Self.usage }
    }

    private static var usage: ServiceError {
        ServiceError(
            code: .usage, reason: "usage: TLSService --certificate FILE --key FILE [--port N] [--threads N]")
    }

    private static func number<N: FixedWidthInteger>(_ text: String, _ range: ClosedRange<Int>) throws(ServiceError)
        -> N
    {
        guard let value = Int(text), range.contains(value), let number = N(exactly: value) else { throw usage }
        return number
    }
}
