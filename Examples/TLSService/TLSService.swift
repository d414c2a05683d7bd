//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Glibc

/// A small TLS 1.3 line server on loopback, for the demo: it offers a few of libcrypto's functions to its clients,
/// among them some that are vulnerable in the library it was started with.
///
/// It knows nothing of live patches and does nothing to make them possible.
@main
struct TLSService {
    static func main() {
        signal(SIGPIPE, SIG_IGN)
        do {
            let options = try Options(Array(CommandLine.arguments.dropFirst()))
            let context = try TLSContext(certificate: options.certificate, key: options.key)
            let listener = try Listener(port: options.port)
            let meter = Meter()
            try meter.start()
            let commands = Commands(meter: meter)
            try Commands.prepare()
            for _ in 0..<options.threads {
                try startThread {
                    Worker(listener: listener, context: context, commands: commands).run()
                }
            }
            print("listening \(listener.port)")
            fflush(nil)
            while true { pause() }
        } catch {
            standardError("TLSService: \(error.reason)\n")
            exit(error.code == .usage ? 64 : 1)
        }
    }
}
