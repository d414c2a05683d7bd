//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

import Glibc

/// Ends the demo in order when it is interrupted (SIGINT, SIGTERM, SIGHUP) or takes too long (SIGALRM).
struct Interruption {
    private var signals = sigset_t()

    /// Blocks the signals; to be made before any thread is.
    init() {
        sigemptyset(&signals)
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGALRM] { sigaddset(&signals, signal) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    /// Waits for the signals on a thread; at the first, calls `body` and ends the process with 128 and its number.
    func watch(_ body: @escaping @Sendable () -> Void) throws(DemoError) {
        final class Box: Sendable {
            let signals: sigset_t
            let body: @Sendable () -> Void
            init(_ signals: sigset_t, _ body: @escaping @Sendable () -> Void) {
                self.signals = signals
                self.body = body
            }
        }
        let box = Unmanaged.passRetained(Box(signals, body))
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let box = Unmanaged<Box>.fromOpaque(argument).takeRetainedValue()
                var signals = box.signals
                var signal: Int32 = 0
                while sigwait(&signals, &signal) != 0 {}
                print("moult-demo: \(signal == SIGALRM ? "took too long" : "interrupted"), ending what was started")
                box.body()
                exit(128 + signal)
            }, box.toOpaque())
        guard result == 0 else {
            box.release()
            throw DemoError(code: .system, reason: "no thread can be made (error \(result))")
        }
        pthread_detach(thread)
    }

    /// Lets the demo be interrupted after some seconds.
    static func limit(seconds: UInt32) { alarm(seconds) }
}
